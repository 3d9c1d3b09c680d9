// SPDX-License-Identifier: Apache-2.0
// What is used of the plugin API of qemu-user, version 1; Debian packages no header of it.
#ifndef OAQ_BENCH_QEMU_API_H_
#define OAQ_BENCH_QEMU_API_H_

#include <stddef.h>
#include <stdint.h>

typedef uint64_t QemuPluginId;
typedef struct QemuInfo QemuInfo;
typedef struct QemuBlock QemuBlock;
typedef struct QemuInstruction QemuInstruction;
enum { kQemuInlineAdd = 0, kQemuNoRegisters = 0 };

extern void qemu_plugin_register_vcpu_tb_trans_cb(QemuPluginId id,
                                                  void (*translated)(QemuPluginId id,
                                                                     QemuBlock* block));
extern void qemu_plugin_register_vcpu_tb_exec_cb(QemuBlock* block,
                                                 void (*executed)(unsigned cpu, void* data),
                                                 int registers, void* data);
extern void qemu_plugin_register_atexit_cb(QemuPluginId id,
                                           void (*done)(QemuPluginId id, void* data), void* data);
extern size_t qemu_plugin_tb_n_insns(const QemuBlock* block);
extern QemuInstruction* qemu_plugin_tb_get_insn(const QemuBlock* block, size_t index);
extern const void* qemu_plugin_insn_data(const QemuInstruction* instruction);
extern size_t qemu_plugin_insn_size(const QemuInstruction* instruction);
extern void* qemu_plugin_insn_haddr(const QemuInstruction* instruction);
extern void qemu_plugin_register_vcpu_insn_exec_inline(QemuInstruction* instruction, int operation,
                                                       void* counter, uint64_t summand);
extern void qemu_plugin_outs(const char* text);

// A plugin defines these two.
#define QEMU_EXPORT __attribute__((visibility("default")))
QEMU_EXPORT extern int qemu_plugin_version;
QEMU_EXPORT int qemu_plugin_install(QemuPluginId id, const QemuInfo* info, int count,
                                    char** arguments);

#endif  // OAQ_BENCH_QEMU_API_H_

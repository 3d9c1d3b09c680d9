// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_BENCH_MACHINE_H_
#define OAQ_BENCH_MACHINE_H_

// What a measured time depends on besides the code; "unknown" where the system does not say.
typedef struct Machine {
  char board[128];     // of the device tree: "Raspberry Pi 3 Model B Plus Rev 1.3"
  char cpu[128];       // name, or the core's number where ARM gives no name
  char governor[64];   // how the clock frequency of CPU 0 is chosen
  char kernel[128];    // of the operating system
  char processor[64];  // "x86_64", "aarch64"
} Machine;

Machine machine_read(void);

#endif  // OAQ_BENCH_MACHINE_H_

# SPDX-License-Identifier: Apache-2.0
# The kernels for x86. A file's flags allow the compiler its ISA, so nothing but kernels is in them.
set(OAQ_X86 ON)
target_compile_definitions(oaq PRIVATE OAQ_X86)
target_sources(oaq PRIVATE core/x86/cpu.c core/x86/kernels_x86.c)

function(oaq_add_kernels flags)
  target_sources(oaq PRIVATE ${ARGN})
  set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS "${flags}")
endfunction()

oaq_add_kernels("-msse4.1"
  core/sse41/gemm_i16_c4_4x8_sse41.c
  core/sse41/gemm_i32_wide_4x8_sse41.c
  core/sse41/output_sse41.c)
oaq_add_kernels("-mavx2"
  core/avx2/gemm_i16_c4_6x16_avx2.c
  core/avx2/gemm_i32_wide_6x16_avx2.c
  core/avx2/output_avx2.c)
oaq_add_kernels("-mavx2;-mfma" core/avx2/output_double_avx2.c)
oaq_add_kernels("-mavx512bw;-mavx512vl"
  core/avx512bw/gemm_i16_c4_12x16_avx512bw.c
  core/avx512bw/gemm_i16_c4_8x32_avx512bw.c
  core/avx512bw/gemm_i32_wide_12x16_avx512bw.c
  core/avx512bw/gemm_i32_wide_8x32_avx512bw.c
  core/avx512bw/output_avx512bw.c)
oaq_add_kernels("-mavx512bw;-mavx512vl;-mavx512vbmi" core/avx512vbmi/look_up_avx512vbmi.c)
oaq_add_kernels("-mavx512bw;-mavx512vl;-mavx512vnni"
  core/vnni/gemm_i32_c4_6x16_vnni256.c
  core/vnni/gemm_i32_c4_12x16_vnni.c
  core/vnni/gemm_i32_c4_8x32_vnni.c)

# gcc 11, clang 12 and binutils 2.36 were the first to know it; without, vnni or avx2 serve.
include(CheckCSourceCompiles)
set(CMAKE_REQUIRED_FLAGS "-mavx2 -mavxvnni")
check_c_source_compiles("int main(void) {
  __asm__ volatile(\"%{vex%} vpdpbusd %%ymm0, %%ymm1, %%ymm2\" : : : \"ymm2\");
  return 0;
}" OAQ_HAS_AVX_VNNI)
unset(CMAKE_REQUIRED_FLAGS)
if(OAQ_HAS_AVX_VNNI)
  target_compile_definitions(oaq PRIVATE OAQ_HAS_AVX_VNNI)
  oaq_add_kernels("-mavx2;-mavxvnni" core/vnni/gemm_i32_c4_6x16_avxvnni.c)
endif()

foreach(name i16 i16_3x3 i16_5x5 i32 i32_3x3 i32_5x5 copy)
  oaq_add_kernels("-msse4.1" core/sse41/depthwise_${name}_sse41.c)
  oaq_add_kernels("-mavx2" core/avx2/depthwise_${name}_avx2.c)
  oaq_add_kernels("-mavx512bw;-mavx512vl" core/avx512bw/depthwise_${name}_avx512bw.c)
endforeach()
target_sources(oaq PRIVATE
  core/avx2/depthwise_avx2.c
  core/avx512bw/depthwise_avx512bw.c
  core/sse41/depthwise_sse41.c)

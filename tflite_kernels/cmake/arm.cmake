# SPDX-License-Identifier: Apache-2.0
# The kernels for ARM, 64-bit or 32-bit: it is the compiler that says which, for a 32-bit system may
# run on a 64-bit kernel.
set(OAQ_ARM ON)
target_compile_definitions(oaq PRIVATE OAQ_ARM)
target_sources(oaq PRIVATE core/arm/cpu.c core/arm/kernels_arm.c)

# Instructions in the order that in-order cores want. Others don't mind.
set(OAQ_NEON_FLAGS -mtune=cortex-a53)
if(CMAKE_SIZEOF_VOID_P EQUAL 8)
  set(OAQ_NEON_TILE 4x4)
else()
  # 32-bit systems are built for CPUs that need not have NEON.
  list(APPEND OAQ_NEON_FLAGS -march=armv7-a -mfpu=neon)
  set(OAQ_NEON_TILE 2x4)
endif()

function(oaq_add_kernels flags)
  target_sources(oaq PRIVATE ${ARGN})
  set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS "${flags}")
endfunction()

oaq_add_kernels("${OAQ_NEON_FLAGS}"
  core/neon/gemm_i16_c8_${OAQ_NEON_TILE}_neon.c
  core/neon/gemm_i32_c8_${OAQ_NEON_TILE}_neon.c
  core/neon/gemm_i32_pairs_c8_${OAQ_NEON_TILE}_neon.c
  core/neon/output_neon.c)
foreach(name i16 i16_3x3 i16_5x5 i32 i32_pairs i32_pairs_3x3 i32_pairs_5x5 copy)
  oaq_add_kernels("${OAQ_NEON_FLAGS}" core/neon/depthwise_${name}_neon.c)
endforeach()
target_sources(oaq PRIVATE core/neon/depthwise_neon.c)

if(CMAKE_SIZEOF_VOID_P EQUAL 8)
  # With 16 registers they would spill what sums through memory cost.
  oaq_add_kernels("${OAQ_NEON_FLAGS}" core/neon/depthwise_clamp_neon.c
                  core/neon/depthwise_codes_3x3_neon.c core/neon/depthwise_codes_5x5_neon.c
                  core/neon/look_up_neon.c)
  oaq_add_kernels("${OAQ_NEON_FLAGS};-march=armv8.2-a+dotprod" core/neon/gemm_i32_c4_8x8_dotprod.c)
  oaq_add_kernels("${OAQ_NEON_FLAGS};-march=armv8.2-a+dotprod+i8mm"
                  core/neon/gemm_i32_c8_8x8_i8mm.c)
endif()

# In assembly, which wants no flags, for ELF: macOS and Windows have other directives, and no such
# cores. Lanes are loaded as little-endian ones.
if(CMAKE_SIZEOF_VOID_P EQUAL 8 AND UNIX AND NOT APPLE AND
   NOT CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64_be")
  enable_language(ASM)
  target_compile_definitions(oaq PRIVATE OAQ_ASSEMBLY)
  target_sources(oaq PRIVATE core/aarch64/depthwise_a53.c core/aarch64/depthwise_codes_3x3.c
                             core/aarch64/gemm_i16_broadcast_4x16.c
                             core/aarch64/gemm_i16_c8_4x4.c)
  foreach(stride 1 2)
    target_sources(oaq PRIVATE core/aarch64/depthwise_codes_3x3_s${stride}.S)
  endforeach()
  foreach(core a53 a55 a72)
    target_sources(oaq PRIVATE core/aarch64/multiply_i16_c8_4x4_${core}.S)
  endforeach()
  foreach(core a53 a55)
    target_sources(oaq PRIVATE core/aarch64/multiply_i16_broadcast_4x16_${core}.S)
  endforeach()
endif()

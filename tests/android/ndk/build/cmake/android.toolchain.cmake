# SPDX-License-Identifier: Apache-2.0
# Stands in for the file of this name in an NDK, where none can be had: clang for Android's triplets,
# ziglang's linker and its musl headers, whose functions are bionic's as far as we call them, and
# libraries that define what bionic has at API level 23 and nothing else, so that anything newer fails
# to link. What it builds runs nowhere. tests/android/stand_in.py fills the folder OAQ_STAND_IN.
set(CMAKE_SYSTEM_NAME Linux)
set(ANDROID ON)
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ANDROID_ABI ANDROID_PLATFORM)
if(NOT ANDROID_PLATFORM STREQUAL "android-23")
  message(FATAL_ERROR "ANDROID_PLATFORM is '${ANDROID_PLATFORM}', expected android-23.")
endif()

if(ANDROID_ABI STREQUAL "arm64-v8a")
  set(CMAKE_SYSTEM_PROCESSOR aarch64)
elseif(ANDROID_ABI STREQUAL "armeabi-v7a")
  set(CMAKE_SYSTEM_PROCESSOR armv7-a)
elseif(ANDROID_ABI STREQUAL "x86_64")
  set(CMAKE_SYSTEM_PROCESSOR x86_64)
else()
  message(FATAL_ERROR "ANDROID_ABI is '${ANDROID_ABI}', expected arm64-v8a, armeabi-v7a or x86_64.")
endif()

foreach(language C ASM)
  set(CMAKE_${language}_COMPILER $ENV{OAQ_STAND_IN}/${ANDROID_ABI}/clang)
  set(CMAKE_${language}_FLAGS_INIT "-fPIC -fstack-protector-strong")
  string(APPEND CMAKE_${language}_FLAGS_INIT " -Wno-unused-command-line-argument")
endforeach()
set(CMAKE_C_STANDARD_LIBRARIES "-lc -ldl -llog")

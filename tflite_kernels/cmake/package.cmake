# SPDX-License-Identifier: Apache-2.0
# What `cmake --install BUILD --component library` installs for C and C++: docs/c.md.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

# To be linked with. Not the library that is loaded by name: a wheel keeps no symbolic links, so that
# one has no version in its file's name.
add_library(oaq_tflite_shared SHARED $<TARGET_OBJECTS:oaq_tflite_objects>)
target_link_libraries(oaq_tflite_shared PRIVATE oaq oaq_flags)
set_target_properties(oaq_tflite_shared PROPERTIES
  OUTPUT_NAME oaq_tflite
  EXPORT_NAME oaq_tflite
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/package
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})

# With the kernels' objects in it: one file to link.
add_library(oaq_tflite_static STATIC
  $<TARGET_OBJECTS:oaq_tflite_objects> $<TARGET_OBJECTS:oaq>)
set_target_properties(oaq_tflite_static PROPERTIES
  OUTPUT_NAME oaq_tflite
  ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/package)
set(OAQ_LIBS_PRIVATE "")
if(OAQ_THREADS)
  target_link_libraries(oaq_tflite_static PRIVATE Threads::Threads)
  string(APPEND OAQ_LIBS_PRIVATE " -pthread")
endif()
if(UNIX)
  target_link_libraries(oaq_tflite_static PRIVATE m)
  string(APPEND OAQ_LIBS_PRIVATE " -lm")
endif()
string(STRIP "${OAQ_LIBS_PRIVATE}" OAQ_LIBS_PRIVATE)

foreach(library shared static)
  target_include_directories(oaq_tflite_${library} INTERFACE
    $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>)
endforeach()
# The names of the installed targets, for projects that take this one in by add_subdirectory.
add_library(oaq::oaq_tflite ALIAS oaq_tflite_shared)
add_library(oaq::oaq_tflite_static ALIAS oaq_tflite_static)

set(OAQ_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/oaq_tflite)
install(TARGETS oaq_tflite_shared oaq_tflite_static EXPORT oaq_tflite
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT library
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT library)
install(EXPORT oaq_tflite NAMESPACE oaq:: FILE oaq_tflite-targets.cmake
  DESTINATION ${OAQ_CMAKE_DIR} COMPONENT library)

configure_package_config_file(cmake/oaq_tflite-config.cmake.in oaq_tflite-config.cmake
  INSTALL_DESTINATION ${OAQ_CMAKE_DIR} NO_SET_AND_CHECK_MACRO)
# While the major version is 0, a minor one may change the interface: hence SOVERSION above, too.
write_basic_package_version_file(oaq_tflite-config-version.cmake COMPATIBILITY SameMinorVersion)
install(
  FILES ${CMAKE_CURRENT_BINARY_DIR}/oaq_tflite-config.cmake
        ${CMAKE_CURRENT_BINARY_DIR}/oaq_tflite-config-version.cmake
  DESTINATION ${OAQ_CMAKE_DIR} COMPONENT library)

# Paths relative to the file itself, so that the folder can be moved, unless they were given in full.
file(RELATIVE_PATH OAQ_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" OAQ_PC_PREFIX "\${pcfiledir}/${OAQ_PC_PREFIX}")
set(OAQ_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
set(OAQ_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
if(IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR} OR IS_ABSOLUTE ${CMAKE_INSTALL_INCLUDEDIR})
  set(OAQ_PC_PREFIX ${CMAKE_INSTALL_PREFIX})
  set(OAQ_PC_LIBDIR ${CMAKE_INSTALL_FULL_LIBDIR})
  set(OAQ_PC_INCLUDEDIR ${CMAKE_INSTALL_FULL_INCLUDEDIR})
endif()
configure_file(cmake/oaq_tflite.pc.in oaq_tflite.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/oaq_tflite.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT library)

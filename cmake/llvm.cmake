# libtaper-jit.so: Clang and lld as libraries, in a plug-in that libtaper opens on a cache miss.
#
# Clang_DIR and LLD_DIR are set to LLVM 19's own folders because CMake would otherwise take the
# newest-looking clang of the system (Debian 12 has 14 beside 19). Clang and LLVM are linked as
# shared libraries, so the plug-in shares their pages with the system's clang; lld has no shared one.

include(CheckLanguage)
check_language(CXX)
set(CMAKE_MESSAGE_LOG_LEVEL WARNING)            # LLVM's own search for curl is not news
find_package(LLVM 19.1 CONFIG QUIET HINTS /usr/lib/llvm-19)
unset(CMAKE_MESSAGE_LOG_LEVEL)
if(NOT CMAKE_CXX_COMPILER OR NOT LLVM_FOUND)
    return()
endif()
enable_language(CXX)
set(Clang_DIR "${LLVM_LIBRARY_DIR}/cmake/clang")
set(LLD_DIR "${LLVM_LIBRARY_DIR}/cmake/lld")
if(NOT EXISTS "${LLVM_INCLUDE_DIRS}/lld/Common/Driver.h"
        OR NOT EXISTS "${LLVM_INCLUDE_DIRS}/clang/Frontend/CompilerInstance.h")
    return()
endif()
set(CMAKE_MESSAGE_LOG_LEVEL WARNING)
find_package(Clang CONFIG QUIET)
find_package(LLD CONFIG QUIET)
unset(CMAKE_MESSAGE_LOG_LEVEL)
if(NOT TARGET clang-cpp OR NOT TARGET lldELF OR NOT TARGET LLVM)
    return()
endif()

add_library(taper-jit MODULE runtime/compile_clang.cc)
separate_arguments(llvm_definitions NATIVE_COMMAND "${LLVM_DEFINITIONS}")
target_compile_definitions(taper-jit PRIVATE ${llvm_definitions})
target_include_directories(taper-jit PRIVATE "${PROJECT_SOURCE_DIR}")
target_include_directories(taper-jit SYSTEM PRIVATE ${LLVM_INCLUDE_DIRS})
target_link_libraries(taper-jit PRIVATE clang-cpp lldELF lldCommon LLVM)
# The static lld must not lend its symbols to another lld or LLVM in the same process.
target_link_options(taper-jit PRIVATE LINKER:--exclude-libs,ALL)
# LLVM's containers are shared with code built without sanitizers: half of an annotation is an alarm.
target_compile_options(taper-jit PRIVATE $<$<BOOL:${TAPER_SANITIZE}>:-fno-sanitize=all>)
set_target_properties(taper-jit PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
taper_warnings(taper-jit)
taper_trim(taper-jit)
install(TARGETS taper-jit LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
set(TAPER_HAS_JIT ON)

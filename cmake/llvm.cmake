# libtaper-jit.so: Clang and lld as libraries, in a plug-in that libtaper opens on a cache miss.
#
# All is taken from LLVM 19's own folders, since Debian 12 has 14 beside it. Clang is found by its
# shared library and not by its CMake package, which asks for the clang program as well. Clang and
# LLVM are linked as shared libraries; lld has none and is linked statically.

set(CMAKE_MESSAGE_LOG_LEVEL WARNING)            # LLVM's own search for curl is not news
find_package(LLVM 19.1 CONFIG QUIET HINTS /usr/lib/llvm-19)
unset(CMAKE_MESSAGE_LOG_LEVEL)
if(NOT CMAKE_CXX_COMPILER OR NOT LLVM_FOUND)
    return()
endif()
find_library(TAPER_CLANG NAMES clang-cpp libclang-cpp.so.19.1 libclang-cpp.so.19
    PATHS ${LLVM_LIBRARY_DIRS} NO_DEFAULT_PATH)
find_path(TAPER_CLANG_HEADERS clang/Frontend/CompilerInstance.h
    PATHS ${LLVM_INCLUDE_DIRS} NO_DEFAULT_PATH)
mark_as_advanced(TAPER_CLANG TAPER_CLANG_HEADERS)
set(CMAKE_MESSAGE_LOG_LEVEL WARNING)
find_package(LLD CONFIG QUIET PATHS ${LLVM_LIBRARY_DIRS}/cmake/lld NO_DEFAULT_PATH)
unset(CMAKE_MESSAGE_LOG_LEVEL)
if(NOT TAPER_CLANG OR NOT TAPER_CLANG_HEADERS OR NOT TARGET lldELF OR NOT TARGET LLVM)
    return()
endif()

add_library(taper-jit MODULE runtime/compile_clang.cc)
separate_arguments(llvm_definitions NATIVE_COMMAND "${LLVM_DEFINITIONS}")
target_compile_definitions(taper-jit PRIVATE ${llvm_definitions})
target_include_directories(taper-jit PRIVATE "${PROJECT_SOURCE_DIR}")
target_include_directories(taper-jit SYSTEM PRIVATE ${LLVM_INCLUDE_DIRS})
target_link_libraries(taper-jit PRIVATE ${TAPER_CLANG} lldELF lldCommon LLVM)
# The static lld must not lend its symbols to another lld or LLVM in the same process.
target_link_options(taper-jit PRIVATE LINKER:--exclude-libs,ALL LINKER:-soname,libtaper-jit.so)
# LLVM's containers are shared with code built without sanitizers: half of an annotation is an alarm.
target_compile_options(taper-jit PRIVATE $<$<BOOL:${TAPER_SANITIZE}>:-fno-sanitize=all>)
set_target_properties(taper-jit PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
taper_warnings(taper-jit)
taper_trim(taper-jit)
install(TARGETS taper-jit LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
set(TAPER_HAS_JIT ON)

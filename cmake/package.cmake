# `cpack -G DEB` in the build folder: one Debian package, taper, to be installed under /usr.
#
# dpkg-shlibdeps says what the library and the command need, which are its Depends, and what the
# plug-in needs beyond that (Clang and LLVM), its Recommends: without them cc compiles.

if(NOT DEFINED CPACK_PACKAGE_NAME)              # read by CMakeLists.txt; by cpack, see below
    set(CPACK_PACKAGE_NAME taper)
    set(CPACK_PACKAGE_VENDOR taper)
    set(CPACK_PACKAGE_CONTACT "taper <taper@localhost>")
    set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
    set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "A model is recorded from C, C++ or Python; taper differentiates it,\n fuses it, plans its memory and compiles the whole training step as one\n function. The library, its headers and the command.")
    set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
    set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
    set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
    set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
    set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${CMAKE_CURRENT_LIST_DIR}/triggers")
    set(CPACK_PRE_BUILD_SCRIPTS "${CMAKE_CURRENT_LIST_DIR}/package_man.cmake")
    set(CPACK_STRIP_FILES ON)
    set(CPACK_PROJECT_CONFIG_FILE "${CMAKE_CURRENT_LIST_FILE}")
    set(CPACK_TAPER_BUILD "${PROJECT_BINARY_DIR}")
    install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/taper RENAME copyright)
    include(CPack)
    return()
endif()

if(NOT CPACK_GENERATOR STREQUAL DEB)
    return()
endif()

function(needs result)                          # the packages that hold what these files are linked with
    set(work "${CPACK_TAPER_BUILD}/shlibdeps")
    file(WRITE "${work}/debian/control" "Source: taper\n\nPackage: taper\nArchitecture: any\n")
    execute_process(COMMAND dpkg-shlibdeps --ignore-missing-info -O ${ARGN}
        WORKING_DIRECTORY "${work}" OUTPUT_VARIABLE said ERROR_VARIABLE wrong RESULT_VARIABLE status)
    if(NOT status EQUAL 0)
        message(FATAL_ERROR "dpkg-shlibdeps: ${wrong}")
    endif()
    string(REGEX REPLACE "^shlibs:Depends=|\n" "" said "${said}")
    set(${result} "${said}" PARENT_SCOPE)
endfunction()

needs(CPACK_DEBIAN_PACKAGE_DEPENDS "${CPACK_TAPER_BUILD}/libtaper.so.0" "${CPACK_TAPER_BUILD}/taper")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "gcc | c-compiler, libc6-dev")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "libomp5-19")
if(EXISTS "${CPACK_TAPER_BUILD}/libtaper-jit.so")
    needs(all "${CPACK_TAPER_BUILD}/libtaper-jit.so")
    string(REPLACE ", " ";" all "${all}")
    list(FILTER all INCLUDE REGEX "clang|llvm|stdc")
    list(JOIN all ", " all)
    set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "${all}, ${CPACK_DEBIAN_PACKAGE_RECOMMENDS}")
endif()

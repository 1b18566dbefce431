# The functions that CMakeLists.txt and tests/CMakeLists.txt share.

# taper_embed(target file symbol): the file's text as `const char symbol[]`, ended by a zero,
# and `const size_t symbol_size`, without it. A file that is not there embeds nothing.
function(taper_embed target file symbol)
    get_filename_component(from "${file}" ABSOLUTE BASE_DIR "${PROJECT_SOURCE_DIR}")
    if(NOT EXISTS "${from}")
        message(STATUS "taper_embed: ${file} is not there; ${symbol} is left out")
        return()
    endif()
    set(script "${PROJECT_SOURCE_DIR}/cmake/embed.cmake")
    set(to "${PROJECT_BINARY_DIR}/embed/${symbol}.c")
    add_custom_command(OUTPUT "${to}"
        COMMAND ${CMAKE_COMMAND} -DIN=${from} -DOUT=${to} -DSYMBOL=${symbol} -P ${script}
        DEPENDS "${from}" "${script}" VERBATIM COMMENT "Embedding ${file}")
    target_sources(${target} PRIVATE "${to}")
endfunction()

# taper_warnings(target): our own code is held to these; headers of libraries are SYSTEM.
function(taper_warnings target)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic
        $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes -Wstrict-prototypes>)
    if(TAPER_WERROR)
        target_compile_options(${target} PRIVATE -Werror)
    endif()
endfunction()

# taper_program(name library sources...): a program against `taper`, as a user would build it, or
# against `taper-all`, which shows everything.
function(taper_program name library)
    add_executable(${name} ${ARGN})
    set_target_properties(${name} PROPERTIES CXX_STANDARD 20 CXX_EXTENSIONS OFF)
    target_link_libraries(${name} PRIVATE ${library} m)
    taper_warnings(${name})
endfunction()

# taper_trim(target): without the functions that nobody calls. Not for tests: Criterion finds a
# program's tests in a section that the linker would throw away.
function(taper_trim target)
    if(NOT TAPER_SANITIZE)
        target_link_options(${target} PRIVATE LINKER:--gc-sections)
    endif()
endfunction()

# taper_report(what found yes no): one line of the summary for a thing that may be missing.
function(taper_report what found yes no)
    if(found)
        message(NOTICE "  ${what}: ${yes}")
    else()
        message(NOTICE "  ${what}: off, ${no}")
    endif()
endfunction()

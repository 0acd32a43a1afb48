# Read by CMake right after llama.cpp's own project() line (CMAKE_PROJECT_llama.cpp_INCLUDE).
#
# An engine is built while somebody waits for it. What runs for every token is compiled for speed
# (ggml and the files named below); the rest, argument parsing, loaders, the graphs of a hundred
# architectures, HTTP, is compiled for compile time. Measured on 2 cores: 535 CPU seconds with
# everything at -O3 under gcc, about 200 this way, the same tokens per second.

set(CMAKE_C_FLAGS_RELEASE "-O3 -DNDEBUG")
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")

# cold(TARGET SOURCES...): everything in TARGET unoptimised except SOURCES.
function(cold target)
    target_compile_options(${target} PRIVATE -O0)
    get_target_property(folder ${target} SOURCE_DIR)
    foreach(source ${ARGN})
        if(NOT EXISTS ${folder}/${source})
            message(FATAL_ERROR "${target} no longer has ${source}: revise compile.cmake")
        endif()
        # A precompiled header holds the -O level it was made with.
        set_source_files_properties(${folder}/${source} TARGET_DIRECTORY ${target}
            PROPERTIES COMPILE_OPTIONS -O2 SKIP_PRECOMPILE_HEADERS ON)
    endforeach()
endfunction()

function(deployctl_flags)
    cold(llama
        llama-batch.cpp llama-context.cpp llama-grammar.cpp llama-graph.cpp llama-kv-cache.cpp
        llama-sampler.cpp llama-vocab.cpp unicode.cpp)
    cold(llama-common sampling.cpp)
    cold(mtmd mtmd-audio.cpp mtmd-image.cpp)
    cold(server-context)
    cold(llama-server-impl)
    cold(llama-bench-impl)
    cold(cpp-httplib)

    set(headers <algorithm> <cmath> <functional> <map> <memory> <mutex> <random> <regex> <sstream>
        <string> <thread> <unordered_map> <vector>)
    target_precompile_headers(llama PRIVATE ${headers})
    foreach(target llama-common llama-server-impl mtmd server-context)
        target_precompile_headers(${target} PRIVATE ${headers} <nlohmann/json.hpp>)
    endforeach()
endfunction()

cmake_language(DEFER DIRECTORY ${CMAKE_SOURCE_DIR} CALL deployctl_flags)

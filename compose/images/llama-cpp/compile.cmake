# Read by CMake right after llama.cpp's own project() line (CMAKE_PROJECT_llama.cpp_INCLUDE).
#
# An engine is built while somebody waits for it. What runs for every token is compiled for speed:
# ggml, and the files named below. The rest (arguments, loaders, the graphs of a hundred
# architectures, chat templates, HTTP) is compiled for compile time. Measured on 2 cores:
# 535 CPU seconds with gcc and -O3 throughout, 176 this way, the same tokens per second.

set(CMAKE_C_FLAGS_RELEASE "-O3 -DNDEBUG")
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")

# properties(TARGET PROPERTY VALUE... SOURCES SOURCE...): set on each source, which must exist:
# a new llama.cpp that renames one stops here, not in a slow engine.
function(properties target)
    cmake_parse_arguments(arg "" "" "SOURCES" ${ARGN})
    get_target_property(folder ${target} SOURCE_DIR)
    foreach(source ${arg_SOURCES})
        if(NOT EXISTS ${folder}/${source})
            message(FATAL_ERROR "${target} has no ${source}: revise ${CMAKE_CURRENT_FUNCTION_LIST_FILE}")
        endif()
        set_source_files_properties(${folder}/${source} TARGET_DIRECTORY ${target}
            PROPERTIES ${arg_UNPARSED_ARGUMENTS})
    endforeach()
endfunction()

# cold(TARGET HOT...): TARGET unoptimised, except its HOT sources.
function(cold target)
    target_compile_options(${target} PRIVATE -O0)
    # A precompiled header keeps the -O level it was made with.
    properties(${target} COMPILE_OPTIONS -O2 SKIP_PRECOMPILE_HEADERS ON SOURCES ${ARGN})
endfunction()

# join(TARGET FOLDER): the sources in FOLDER, many and small, compiled a dozen at a time.
function(join target folder)
    get_target_property(sources ${target} SOURCES)
    list(FILTER sources EXCLUDE REGEX "(^|/)${folder}/")
    list(FILTER sources INCLUDE REGEX "\\.cpp$")
    properties(${target} SKIP_UNITY_BUILD_INCLUSION ON SOURCES ${sources})
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 12)
endfunction()

function(deployctl_flags)
    properties(ggml-base COMPILE_OPTIONS -O0 SOURCES ggml-backend-meta.cpp gguf.cpp)
    cold(llama
        llama-batch.cpp llama-context.cpp llama-grammar.cpp llama-graph.cpp llama-kv-cache.cpp
        llama-sampler.cpp llama-vocab.cpp)
    cold(llama-common sampling.cpp)
    cold(mtmd mtmd-audio.cpp mtmd-image.cpp)
    cold(server-context)
    cold(llama-server-impl)
    cold(llama-bench-impl)
    cold(cpp-httplib)

    join(llama-common parsers)
    join(mtmd models)

    set(std <algorithm> <cmath> <functional> <map> <memory> <mutex> <random> <regex> <sstream>
        <string> <thread> <unordered_map> <vector>)
    set(top ${CMAKE_SOURCE_DIR})
    target_precompile_headers(llama PRIVATE ${std} ${top}/src/llama-model.h)
    target_precompile_headers(mtmd PRIVATE ${std} <nlohmann/json.hpp> ${top}/tools/mtmd/clip-graph.h)
    # These two refuse to see mtmd's inner headers.
    properties(mtmd SKIP_PRECOMPILE_HEADERS ON SOURCES mtmd-helper.cpp mtmd-helper-gen.cpp)
    foreach(target llama-common llama-server-impl server-context)
        target_precompile_headers(${target} PRIVATE
            ${std} <nlohmann/json.hpp> ${top}/common/chat.h ${top}/common/common.h)
    endforeach()
endfunction()

cmake_language(DEFER DIRECTORY ${CMAKE_SOURCE_DIR} CALL deployctl_flags)

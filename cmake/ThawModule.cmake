# SPDX-License-Identifier: Apache-2.0
#
# thaw_module(NAME [THREADS] [LONG n] DEPS lib... [TEST_DEPS lib...]) declares the static library
# thaw_NAME from the files of the current folder. THREADS has its tests run under the thread sanitizer
# as well; LONG has long ones begun before all others and in n parts, so that no core idles at the end.
# The suffix of a file says what it is:
#   x.cc        product code            x_test.cc, x_prop.cc  into thaw_NAME_test (gtest, rapidcheck)
#   x_fuzz.cc   one libFuzzer target    x_bench.cc            into thaw_NAME_bench (Google Benchmark)
# No file is listed by hand, so no test can be left out of the build.
include_guard(GLOBAL)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)

add_library(thaw_flags INTERFACE)
target_include_directories(thaw_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_compile_options(thaw_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wpedantic -Werror -Wno-missing-field-initializers
  -fno-omit-frame-pointer)
if(MOLD)
  target_link_options(thaw_flags INTERFACE -fuse-ld=mold)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(thaw_flags INTERFACE -Wthread-safety -Wthread-safety-beta)
endif()
if(THAW_SANITIZE)
  target_compile_options(thaw_flags INTERFACE -fsanitize=${THAW_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(thaw_flags INTERFACE -fsanitize=${THAW_SANITIZE})
endif()
if(THAW_FUZZ)
  target_compile_options(thaw_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(THAW_COVERAGE)
  target_compile_options(thaw_flags INTERFACE --coverage)
  target_link_options(thaw_flags INTERFACE --coverage)
endif()

function(thaw_module name)
  cmake_parse_arguments(ARG "THREADS" "LONG" "DEPS;TEST_DEPS" ${ARGN})
  file(GLOB all CONFIGURE_DEPENDS *.cc)
  set(product ${all})
  list(FILTER product EXCLUDE REGEX "_(test|prop|fuzz|bench|main)\\.cc$")
  set(tests ${all})
  list(FILTER tests INCLUDE REGEX "_(test|prop)\\.cc$")
  set(fuzzers ${all})
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cc$")
  set(benches ${all})
  list(FILTER benches INCLUDE REGEX "_bench\\.cc$")

  if(product)
    add_library(thaw_${name} STATIC ${product})
    target_link_libraries(thaw_${name} PUBLIC thaw_flags ${ARG_DEPS})
  else()
    add_library(thaw_${name} INTERFACE)
    target_link_libraries(thaw_${name} INTERFACE thaw_flags ${ARG_DEPS})
  endif()

  if(tests AND NOT THAW_FUZZ)
    add_executable(thaw_${name}_test ${tests})
    target_link_libraries(thaw_${name}_test PRIVATE
      thaw_${name} ${ARG_TEST_DEPS} ${RAPIDCHECK} GTest::gtest GTest::gmock GTest::gtest_main)
    # What is tested is as the preset has it. Optimising the tests themselves would take a third of
    # all that CI compiles.
    target_compile_options(thaw_${name}_test PRIVATE -O0 -g1)
    set(names ${name})
    if(ARG_LONG GREATER 1)
      set(names "")
      foreach(part RANGE 1 ${ARG_LONG})
        math(EXPR shard "${part} - 1")
        add_test(NAME ${name}_${part} COMMAND thaw_${name}_test)
        set_tests_properties(${name}_${part} PROPERTIES
          ENVIRONMENT "GTEST_TOTAL_SHARDS=${ARG_LONG};GTEST_SHARD_INDEX=${shard}")
        list(APPEND names ${name}_${part})
      endforeach()
    else()
      add_test(NAME ${name} COMMAND thaw_${name}_test)
    endif()
    if(ARG_LONG)
      set_tests_properties(${names} PROPERTIES COST ${ARG_LONG})
    endif()
    if(ARG_THREADS)
      set_tests_properties(${names} PROPERTIES LABELS threads)
      set_property(GLOBAL APPEND PROPERTY THAW_THREAD_TESTS thaw_${name}_test)
    endif()
  endif()
  if(benches AND NOT THAW_FUZZ)
    add_executable(thaw_${name}_bench ${benches})
    target_link_libraries(thaw_${name}_bench PRIVATE
      thaw_${name} ${ARG_TEST_DEPS} benchmark::benchmark_main)
    # A benchmark that no longer runs is found by the tests, not by the next person who needs it.
    add_test(NAME ${name}_bench_smoke
      COMMAND thaw_${name}_bench --benchmark_min_time=0.001)
  endif()
  if(THAW_FUZZ)
    foreach(source ${fuzzers})
      get_filename_component(target ${source} NAME_WE)
      add_executable(${target} ${source})
      target_link_libraries(${target} PRIVATE thaw_${name} ${ARG_TEST_DEPS})
      target_link_options(${target} PRIVATE -fsanitize=fuzzer)
      set_property(GLOBAL APPEND PROPERTY THAW_FUZZERS ${target})
    endforeach()
  endif()
endfunction()

# SPDX-License-Identifier: Apache-2.0
#
# cmake -DGIT=... -DFOLDER=... -P WriteSourceCommit_test.cmake: in FOLDER, which is made anew.
set(source ${FOLDER}/source)
set(output ${FOLDER}/commit.cc)
file(REMOVE_RECURSE ${FOLDER})
file(MAKE_DIRECTORY ${source}/src ${source}/docs)

function(git)
  execute_process(COMMAND ${GIT} -C ${source} -c user.name=n -c user.email=n@example.com ${ARGN}
    COMMAND_ERROR_IS_FATAL ANY OUTPUT_VARIABLE text OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(said "${text}" PARENT_SCOPE)
endfunction()
# expect(TEXT): what is written is "TEXT".
function(expect text)
  execute_process(COMMAND ${CMAKE_COMMAND} -DGIT=${GIT} -DSOURCE=${source} -DOUTPUT=${output}
    -P ${CMAKE_CURRENT_LIST_DIR}/WriteSourceCommit.cmake COMMAND_ERROR_IS_FATAL ANY)
  file(READ ${output} written)
  string(FIND "${written}" "return \"${text}\"" place)
  if(place EQUAL -1)
    message(FATAL_ERROR "expected \"${text}\", found: ${written}")
  endif()
endfunction()

file(WRITE ${source}/CMakeLists.txt "")
file(WRITE ${source}/src/a.cc "")
git(init -q)
# Not of whatever repository the folder happens to be in.
expect("")
git(add -A)
git(commit -q -m one)
git(rev-parse HEAD)
set(commit ${said})
expect("${commit}")
file(TIMESTAMP ${output} before "%s")
execute_process(COMMAND ${CMAKE_COMMAND} -E sleep 1.1)
expect("${commit}")
file(TIMESTAMP ${output} after "%s")
if(NOT before STREQUAL after)
  message(FATAL_ERROR "what is the same was written again")
endif()
file(WRITE ${source}/docs/more "what is not built")
expect("${commit}")
file(WRITE ${source}/src/b.cc "")
expect("${commit}+")
file(REMOVE ${source}/src/b.cc)
file(WRITE ${source}/src/a.cc "x")
expect("${commit}+")

# SPDX-License-Identifier: Apache-2.0
#
# cmake -DSOURCE=... -DOUTPUT=... [-DGIT=...] -P WriteSourceCommit.cmake writes the C++ file OUTPUT with the commit of
# what is built from the folder SOURCE: "+" after it if that has changes, empty if it is no git checkout. A file that
# would be the same is left as it is, so that nothing is rebuilt.
set(commit "")

# git(OUT argument...): what it prints; empty, and `failed` is not, if it fails.
function(git out)
  execute_process(COMMAND ${GIT} --no-optional-locks -C ${SOURCE} ${ARGN}
    OUTPUT_VARIABLE text RESULT_VARIABLE code ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(failed ${code} PARENT_SCOPE)
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

if(GIT)
  # An unpacked release inside somebody else's repository is not of its commit.
  git(ignored ls-files --error-unmatch CMakeLists.txt)
  if(NOT failed)
    git(commit rev-parse --verify HEAD)
    git(changes status --porcelain -- CMakeLists.txt cmake src vmm)
    if(failed OR NOT changes STREQUAL "")
      string(APPEND commit "+")
    endif()
  endif()
endif()

set(text "// SPDX-License-Identifier: Apache-2.0
// Written by cmake/WriteSourceCommit.cmake.
#include \"thaw/cli/source_commit.h\"

namespace thaw {

const char* source_commit() { return \"${commit}\"; }

}  // namespace thaw
")
set(before "")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} before)
endif()
if(NOT before STREQUAL text)
  file(WRITE ${OUTPUT} "${text}")
endif()

# The warnings, sanitizers and coverage flags that every target of the project shares.
add_library(headgate_warnings INTERFACE)
target_compile_options(headgate_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wswitch-enum -Wvla
  $<$<BOOL:${HEADGATE_WERROR}>:-Werror>)
if(HEADGATE_SANITIZE)
  target_compile_options(headgate_warnings INTERFACE
    -fsanitize=${HEADGATE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  target_link_options(headgate_warnings INTERFACE -fsanitize=${HEADGATE_SANITIZE})
endif()
if(HEADGATE_COVERAGE)
  target_compile_options(headgate_warnings INTERFACE --coverage -fprofile-update=atomic -O0 -g) # atomic: of several threads
  target_link_options(headgate_warnings INTERFACE --coverage)
endif()

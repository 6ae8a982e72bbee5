# What makes a mistake in memory hard to use, for every target; tests/integration/test_hardening.py looks for it.
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_library(headgate_hardening INTERFACE)
target_compile_options(headgate_hardening INTERFACE -fstack-protector-strong)
target_link_options(headgate_hardening INTERFACE LINKER:-z,relro LINKER:-z,now)
# It needs an optimised build, and would hide from the sanitizers what they look for.
if(NOT HEADGATE_SANITIZE AND NOT HEADGATE_COVERAGE)
  target_compile_options(headgate_hardening INTERFACE
    $<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-U_FORTIFY_SOURCE>
    $<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-D_FORTIFY_SOURCE=3>)
endif()

# Debian packages, by `cpack -G DEB` in a build folder: headgate, libheadgate0 and libheadgate-dev.
set(CPACK_PACKAGE_NAME headgate)
set(CPACK_PACKAGE_VENDOR "Headgate")
set(CPACK_PACKAGE_CONTACT "The Headgate authors <headgate@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "hard token budget for parallel LLM work")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL library development)
if(HEADGATE_PROGRAM)
  list(APPEND CPACK_COMPONENTS_ALL program)
endif()

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
foreach(COMPONENT PROGRAM LIBRARY)
  set(CPACK_DEBIAN_${COMPONENT}_PACKAGE_SHLIBDEPS ON)
endforeach()

set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME headgate)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PROGRAM_DESCRIPTION
"Runs batches of LLM calls inside a hard token budget, and serves that budget
to programs in any language: every token is counted before it is said, and no
call starts that could pass the limit.")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_CONTROL_EXTRA
  ${PROJECT_SOURCE_DIR}/packaging/debian/program/postinst
  ${PROJECT_SOURCE_DIR}/packaging/debian/program/prerm
  ${PROJECT_SOURCE_DIR}/packaging/debian/program/postrm)

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libheadgate${PROJECT_VERSION_MAJOR})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
configure_file(packaging/debian/library/shlibs.in ${PROJECT_BINARY_DIR}/generated/shlibs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA
  ${PROJECT_SOURCE_DIR}/packaging/debian/library/postinst
  ${PROJECT_SOURCE_DIR}/packaging/debian/library/postrm
  ${PROJECT_BINARY_DIR}/generated/shlibs)
set(CPACK_DEBIAN_LIBRARY_DESCRIPTION
"This package has the library: the runtime of Headgate, for a program that
makes its own calls.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libheadgate-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  "${CPACK_DEBIAN_LIBRARY_PACKAGE_NAME} (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS "libzmq3-dev, libsqlite3-dev, libmsgpack-dev, libjansson-dev")
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION
"This package has the header, the static library, and what pkg-config and CMake
need. Linking the static library takes the suggested packages too.")
include(CPack)

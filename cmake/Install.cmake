# What `cmake --install` puts where, in three components: the program, the shared library, what a build with it needs.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# A file that names the prefix is written when it is installed: --prefix and cpack choose another one only then.
function(headgate_install_configured IN DESTINATION COMPONENT)
  get_filename_component(NAME ${IN} NAME)
  string(REGEX REPLACE "\\.in$" "" NAME ${NAME})
  set(OUT ${PROJECT_BINARY_DIR}/generated/${NAME})
  install(CODE "
    cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_PREFIX NORMALIZE)
    set(PROJECT_VERSION \"${PROJECT_VERSION}\")
    set(LIBS_PRIVATE \"${HEADGATE_LIBS_PRIVATE}\")
    cmake_path(APPEND BINDIR \"\${CMAKE_INSTALL_PREFIX}\" \"${CMAKE_INSTALL_BINDIR}\")
    cmake_path(APPEND LIBDIR \"\\\${prefix}\" \"${CMAKE_INSTALL_LIBDIR}\")
    cmake_path(APPEND INCLUDEDIR \"\\\${prefix}\" \"${CMAKE_INSTALL_INCLUDEDIR}\")
    configure_file(\"${IN}\" \"${OUT}\" @ONLY)
    cmake_path(APPEND DESTINATION \"\${CMAKE_INSTALL_PREFIX}\" \"${DESTINATION}\")
    file(INSTALL DESTINATION \"\${DESTINATION}\" TYPE FILE FILES \"${OUT}\")"
    COMPONENT ${COMPONENT})
endfunction()

# --- the library ---
set(PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/Headgate)
install(TARGETS headgate EXPORT HeadgateTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT development)
install(TARGETS headgate_static EXPORT HeadgateStaticTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libheadgate${PROJECT_VERSION_MAJOR} RENAME copyright
  COMPONENT library)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libheadgate-dev RENAME copyright COMPONENT development)
# What documents link to stands where they say, in each package.
install(FILES include/headgate.h DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libheadgate-dev/include COMPONENT development)
install(FILES docs/embedding.md DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libheadgate-dev/docs COMPONENT development)
install(FILES examples/embed.c examples/event_loop.c
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libheadgate-dev/examples COMPONENT development)
install(FILES include/headgate.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
foreach(SET HeadgateTargets HeadgateStaticTargets)
  install(EXPORT ${SET} NAMESPACE Headgate:: DESTINATION ${PACKAGE_DIR} COMPONENT development)
endforeach()
configure_package_config_file(cmake/HeadgateConfig.cmake.in ${PROJECT_BINARY_DIR}/generated/HeadgateConfig.cmake
  INSTALL_DESTINATION ${PACKAGE_DIR} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/generated/HeadgateConfigVersion.cmake
  COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/generated/HeadgateConfig.cmake
  ${PROJECT_BINARY_DIR}/generated/HeadgateConfigVersion.cmake
  DESTINATION ${PACKAGE_DIR} COMPONENT development)

# The libraries themselves and not Requires.private: what those are linked with is not needed, and on Debian 12 that of
# libzmq can't be linked. A program with the shared library needs none of their packages.
set(FLAGS)
foreach(LIBRARY ZMQ SQLITE MSGPACK JANSSON)
  list(REMOVE_ITEM ${LIBRARY}_LIBRARY_DIRS ${CMAKE_C_IMPLICIT_LINK_DIRECTORIES})
  list(TRANSFORM ${LIBRARY}_LIBRARY_DIRS PREPEND -L)
  list(TRANSFORM ${LIBRARY}_LIBRARIES PREPEND -l)
  list(APPEND FLAGS ${${LIBRARY}_LIBRARY_DIRS} ${${LIBRARY}_LIBRARIES})
endforeach()
list(JOIN FLAGS " " HEADGATE_LIBS_PRIVATE)
string(APPEND HEADGATE_LIBS_PRIVATE " -lm -pthread")
headgate_install_configured(${PROJECT_SOURCE_DIR}/packaging/headgate.pc.in
  ${CMAKE_INSTALL_LIBDIR}/pkgconfig development)

# --- the program ---
if(HEADGATE_PROGRAM)
  install(TARGETS headgate_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
  headgate_install_configured(${PROJECT_SOURCE_DIR}/packaging/headgate.service.in lib/systemd/system program)
  install(FILES packaging/headgate.sysusers DESTINATION lib/sysusers.d RENAME headgate.conf COMPONENT program)
  install(FILES packaging/completion/headgate.bash RENAME headgate
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT program)
  # zsh looks under /usr/local for what an administrator adds; Debian's has a folder of its own for packages.
  install(CODE "
    set(FOLDER site-functions)
    if(CMAKE_INSTALL_PREFIX STREQUAL \"/usr\" AND EXISTS /etc/debian_version)
      set(FOLDER vendor-completions)
    endif()
    file(INSTALL DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/zsh/\${FOLDER}\"
      TYPE FILE FILES \"${PROJECT_SOURCE_DIR}/packaging/completion/_headgate\")"
    COMPONENT program)
  file(GLOB MAN_PAGES CONFIGURE_DEPENDS docs/man/*.1)
  install(FILES ${MAN_PAGES} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT program)
  install(FILES README.md CHANGELOG.md CONTRIBUTING.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program)
  install(DIRECTORY docs examples DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program
    PATTERN man EXCLUDE PATTERN specs EXCLUDE PATTERN agent-memory EXCLUDE PATTERN __pycache__ EXCLUDE)
  foreach(FILE include/headgate.h schemas/events.schema.json schemas/commands.schema.json schemas/golden/outside.hex
      clients/python/README.md clients/node/README.md clients/node/index.d.ts)
    get_filename_component(FOLDER ${FILE} DIRECTORY)
    install(FILES ${FILE} DESTINATION ${CMAKE_INSTALL_DOCDIR}/${FOLDER} COMPONENT program)
  endforeach()
  install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright COMPONENT program)
endif()

if(PROJECT_IS_TOP_LEVEL)
  include(Package)
endif()

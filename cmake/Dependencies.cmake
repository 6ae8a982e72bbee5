# Finds the libraries and says which Debian package brings one that is missing.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(headgate_need PREFIX DEBIAN)
  pkg_search_module(${PREFIX} IMPORTED_TARGET ${ARGN})
  if(NOT ${PREFIX}_FOUND)
    message(FATAL_ERROR "headgate needs ${ARGN}, which pkg-config does not find: on Debian, apt-get install ${DEBIAN}")
  endif()
endfunction()

headgate_need(ZMQ libzmq3-dev libzmq>=4.3)
headgate_need(SQLITE libsqlite3-dev sqlite3>=3.37)
headgate_need(MSGPACK libmsgpack-dev msgpack-c msgpack)
headgate_need(JANSSON libjansson-dev jansson)

macro(headgate_need_curl)
  headgate_need(CURL libcurl4-openssl-dev libcurl)
endmacro()
macro(headgate_need_microhttpd)
  headgate_need(MICROHTTPD libmicrohttpd-dev libmicrohttpd)
endmacro()
macro(headgate_need_criterion)
  headgate_need(CRITERION libcriterion-dev criterion)
endmacro()

# schemas/ledger.sql becomes the string hg_ledger_sql, so that the file that people read is the schema that runs.
function(headgate_embed_sql TARGET)
  set(OUT ${PROJECT_BINARY_DIR}/generated/ledger_sql.c)
  set(IN ${CMAKE_CURRENT_SOURCE_DIR}/schemas/ledger.sql)
  add_custom_command(OUTPUT ${OUT}
    COMMAND ${CMAKE_COMMAND} -DIN=${IN} -DOUT=${OUT} -P ${CMAKE_CURRENT_SOURCE_DIR}/cmake/EmbedSql.cmake
    DEPENDS ${IN} ${CMAKE_CURRENT_SOURCE_DIR}/cmake/EmbedSql.cmake)
  target_sources(${TARGET} PRIVATE ${OUT})
endfunction()

# Writes the text of IN as a C string constant to OUT.
file(READ ${IN} TEXT)
string(REPLACE "\\" "\\\\" TEXT "${TEXT}")
string(REPLACE "\"" "\\\"" TEXT "${TEXT}")
string(REPLACE "\n" "\\n\"\n  \"" TEXT "${TEXT}")
file(WRITE ${OUT} "#pragma GCC diagnostic ignored \"-Woverlength-strings\"\nextern const char hg_ledger_sql[];\nconst char hg_ledger_sql[] =\n  \"${TEXT}\";\n")

"""Tables of other tools as they are found in any file, row by row, whatever stands between."""

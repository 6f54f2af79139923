"""The row, which is a cell's result, and the folder that rows and samples are kept in."""

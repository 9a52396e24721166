"""The stage images: turns the microscope files of a plate into its 8-bit store."""

"""The checks of the suite, one module for each thing that is promised."""

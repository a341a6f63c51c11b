//! Wiring, configuration, command line.

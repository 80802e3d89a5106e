"""The files of a run's folder: a module for each kind of file, with its reader and its writer."""

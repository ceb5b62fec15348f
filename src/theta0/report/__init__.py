"""From a study's folder to tables, finding and recommendation. Reads files; imports no torch."""

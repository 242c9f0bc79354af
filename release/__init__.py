"""What makes a release, and what checks one."""

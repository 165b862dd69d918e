"""Local doubles of the servers that Earmark talks to; a package, so that `import hopsworks` finds the real client."""

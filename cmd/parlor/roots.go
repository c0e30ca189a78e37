package main

// Mozilla's certificate authorities, for where the system has none, as in an empty
// container. Otherwise the system's are used.
import _ "golang.org/x/crypto/x509roots/fallback"

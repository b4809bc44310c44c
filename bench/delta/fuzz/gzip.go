package main

import (
	"compress/gzip"
	"io"
	"os"
	"strconv"
)

// Compresses its input with Go's own gzip at the given level, written in pieces as a registry client does.
func main() {
	level, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	writer, err := gzip.NewWriterLevel(os.Stdout, level)
	if err != nil {
		panic(err)
	}
	if _, err := io.CopyBuffer(writer, os.Stdin, make([]byte, 32*1024)); err != nil {
		panic(err)
	}
	if err := writer.Close(); err != nil {
		panic(err)
	}
}

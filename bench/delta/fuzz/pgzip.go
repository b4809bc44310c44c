package main

import (
	"io"
	"os"
	"strconv"

	"github.com/klauspost/pgzip"
)

// Compresses its input with pgzip in blocks of 16 KiB, at the given level.
func main() {
	level, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	writer, err := pgzip.NewWriterLevel(os.Stdout, level)
	if err != nil {
		panic(err)
	}
	if err := writer.SetConcurrency(16*1024+7, 2); err != nil {
		panic(err)
	}
	if _, err := io.CopyBuffer(writer, os.Stdin, make([]byte, 32*1024)); err != nil {
		panic(err)
	}
	if err := writer.Close(); err != nil {
		panic(err)
	}
}

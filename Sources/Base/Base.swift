// SPDX-License-Identifier: Apache-2.0
// Front door of Base: what every other target stands on, and no domain word in it.

/// Base knows bytes, files, time, threads and text; it does not know what a metric is.
///
/// - `Bytes`: bounds-checked reading and writing of encoded bytes, hashing, checksums, search.
/// - `Compression`: zstd, snappy, gzip and deflate, each with a hard limit on what it may produce.
/// - `Text`: numbers and times as text, regular expressions.
/// - `JSON`: a streaming writer and a pull reader.
/// - `Files`, `Time`, `Random`: the only doors to the kernel's files, clocks and entropy. Each is
///   a protocol, so that the fault and simulation tests can stand in for the machine.
/// - `Concurrency`: bounded worker pools.
package enum Base {
    /// Version of the product, shown by `tern version`, `buildinfo` and in part footers.
    package static let version = "0.1.0"
}

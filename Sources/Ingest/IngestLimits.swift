// SPDX-License-Identifier: Apache-2.0
// What a tenant may send.

/// Limits of admission. Times in seconds, sizes in bytes.
package struct IngestLimits: Sendable {
    /// How far ahead of the clock a sample or line may be. Source: Prometheus and Loki both say
    /// ten minutes.
    package var futureSeconds: Double = 600
    /// How old data may be: retention, from the configuration.
    package var retentionSeconds: Double = 15 * 86_400
    /// Bytes that all heads may hold before writes are refused with 503.
    package var headBytes: Int = 1 << 30
    /// Longest log line; longer ones are refused.
    package var lineBytes: Int = 1 << 20
    /// Most labels of one series or stream.
    package var labelCount: Int = 128
    /// Requests that may be between arrival and answer at once.
    package var batchesInFlight: Int = 1024
    /// Bytes of their bodies as sent, and again of their batches as encoded for the log.
    package var bytesInFlight: Int = 256 << 20
    /// Threads that decode, admit and append.
    package var threads: Int = 2

    package init() {}
}

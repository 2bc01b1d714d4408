// SPDX-License-Identifier: Apache-2.0
// What one log line and one stream may hold.

/// Limits of a log request that need no clock and no state. What exceeds them is left out and
/// reported; the rest of the request is kept, as Loki does. Loki's defaults are 15 names, 1024 and
/// 2048 bytes, 256 KiB lines, 64 KiB and 128 entries of metadata.
package struct LogLimits: Sendable, Equatable {
    /// Labels of a stream, `service_name` not counted.
    package var maxLabelNames = 64
    package var maxLabelNameBytes = 1024
    package var maxLabelValueBytes = 8192
    package var maxLineBytes = 2 << 20
    /// Names and values of a line's structured metadata together.
    package var maxMetadataBytes = 256 << 10
    package var maxMetadataCount = 1024
    /// What a whole request may take in memory: OTLP repeats resource attributes on every line, so
    /// a small body can mean much. A request beyond it is refused.
    package var maxDecodedBytes = 1 << 29

    package init() {}
}

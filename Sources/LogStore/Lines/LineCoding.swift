// SPDX-License-Identifier: Apache-2.0
// Whether the lines of a block are kept as they are.

import Base

/// Chooses between lines as they are and templates with values.
enum LineCoding {
    /// Bytes of lines that are looked at to choose.
    private static let sampleBytes = 64 << 10
    /// Templates must take less than this share of what lines as they are take: they cost more to
    /// read.
    private static let worthwhile = 0.95

    /// The lines as templates and values, if that is smaller after compression.
    ///
    /// - Parameters:
    ///   - lines: the lines back to back.
    ///   - lengths: of each line; one at least.
    ///   - ids: of each line.
    /// - Complexity: O(bytes). A sample is compressed both ways at zstd's fastest level.
    static func templates(
        _ lines: [UInt8], _ lengths: [UInt32], ids: [RowIDs]
    ) -> [UInt8]? {
        var rows = 0
        var bytes = 0
        while rows < lengths.count, bytes < sampleBytes {
            bytes += Int(lengths[rows])
            rows += 1
        }
        if bytes == 0 { return nil }
        let isWhole = rows == lengths.count
        let taken = lines.withUnsafeBytes { TemplateColumn.Rows($0, lengths) }
        guard let taken else { return nil }
        let coded = lines.withUnsafeBytes { taken.encoded($0, ids, rows: rows) }
        let packed = Zstd.compress(coded, level: 1).count
        let plain = Zstd.compress(isWhole ? lines : Array(lines[..<bytes]), level: 1).count
        guard Double(packed) < worthwhile * Double(plain) else { return nil }
        return isWhole
            ? coded : lines.withUnsafeBytes { taken.encoded($0, ids, rows: lengths.count) }
    }
}

// SPDX-License-Identifier: Apache-2.0
// Whether the lines of a block are kept as they are.

import Base

/// Chooses between lines as they are and templates with values, block after block of a part.
struct LineCoding {
    /// Bytes of lines that are looked at to choose.
    private static let sampleBytes = 64 << 10
    /// Templates must take less than this share of what lines as they are take: they cost more to
    /// read.
    private static let worthwhile = 0.95
    /// What takes less than this share needs no second look at lines of the same template.
    private static let plainlyWorthwhile = 0.8
    private static let maxProven = 1 << 10

    private let room = LineRoom()
    /// Hashes of templates that were the commonest of blocks that became much smaller. The pods of a
    /// service write alike.
    private var proven: Set<UInt64> = []

    /// The lines as templates and values, if that is smaller after compression.
    ///
    /// - Parameters:
    ///   - lines: the lines back to back.
    ///   - lengths: of each line; one at least.
    ///   - ids: of each line.
    /// - Complexity: O(bytes). A sample is compressed both ways at zstd's fastest level, unless lines of
    ///   the commonest template were found to be worth it before.
    mutating func templates(
        _ lines: [UInt8], _ lengths: [UInt32], ids: [RowIDs]
    ) -> [UInt8]? {
        var rows = 0
        var bytes = 0
        while rows < lengths.count, bytes < LineCoding.sampleBytes {
            bytes += Int(lengths[rows])
            rows += 1
        }
        if bytes == 0 { return nil }
        let isWhole = rows == lengths.count
        let taken = lines.withUnsafeBytes { TemplateColumn.Rows($0, lengths, room) }
        guard let taken else { return nil }
        let commonest = taken.commonest
        if proven.contains(commonest) {
            return lines.withUnsafeBytes { taken.encoded($0, ids, rows: lengths.count) }
        }
        let coded = lines.withUnsafeBytes { taken.encoded($0, ids, rows: rows) }
        let packed = Double(Zstd.compress(coded, level: 1).count)
        let plain = Double(
            Zstd.compress(isWhole ? lines : Array(lines[..<bytes]), level: 1).count)
        guard packed < LineCoding.worthwhile * plain else { return nil }
        if packed < LineCoding.plainlyWorthwhile * plain, proven.count < LineCoding.maxProven {
            proven.insert(commonest)
        }
        return isWhole
            ? coded : lines.withUnsafeBytes { taken.encoded($0, ids, rows: lengths.count) }
    }
}

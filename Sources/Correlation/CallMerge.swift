// SPDX-License-Identifier: Apache-2.0
// Joins the calls of several parts without building them.

import Base
import Storage
import Telemetry

/// Merges sections of calls, each sorted by span, into one. Of a span that several have the first
/// one stays. Entries are copied as bytes.
struct CallMerge {
    /// Steps through one section.
    private struct Cursor {
        let name: String
        let bytes: [UInt8]
        private var offset = 0
        private var left = 0
        /// Of the present entry; nil at the end of the list.
        private(set) var key: SpanReference?
        private(set) var entry = 0..<0

        init(_ bytes: [UInt8], _ name: String) {
            self.bytes = bytes
            self.name = name
        }

        /// Goes to the first entry of the next list.
        mutating func begin(hasParent: Bool) throws(MalformedBytes) {
            left = try read { r throws(MalformedBytes) in
                try r.length(limit: r.remaining, "number of calls")
            }
            try advance(hasParent: hasParent)
        }

        mutating func advance(hasParent: Bool) throws(MalformedBytes) {
            guard left > 0 else {
                key = nil
                return
            }
            left -= 1
            let start = offset
            key = try read { r throws(MalformedBytes) in
                let key = try r.span()
                if hasParent { try r.skip(8) }
                _ = try r.lengthPrefixed()
                if !hasParent { _ = try r.lengthPrefixed() }
                try r.skip(8)
                _ = try r.varint()
                try r.skip(1)
                return key
            }
            entry = start..<offset
        }

        private mutating func read<T>(
            _ body: (inout ByteReader) throws(MalformedBytes) -> T
        ) throws(MalformedBytes) -> T {
            let result = bytes.withUnsafeBytes { all -> Result<(T, Int), MalformedBytes> in
                var reader = ByteReader(all)
                reader.offset = offset
                do throws(MalformedBytes) {
                    let value = try body(&reader)
                    return .success((value, reader.offset))
                } catch { return .failure(error) }
            }
            let (value, end) = try result.get()
            offset = end
            return value
        }
    }
    private var cursors: [Cursor] = []

    mutating func add(_ bytes: [UInt8], of name: String) { cursors.append(Cursor(bytes, name)) }

    /// The merged section and how many calls it holds.
    ///
    /// - Throws: `PartCorruption` of an input, `CancellationError`.
    mutating func merged(
        shouldStop: () -> Bool
    ) throws -> (bytes: [UInt8], count: Int) {
        var all = ByteWriter()
        var total = 0
        for hasParent in [false, true] {
            var list = ByteWriter()
            var count = 0
            for i in cursors.indices {
                try step(i) { c throws(MalformedBytes) in try c.begin(hasParent: hasParent) }
            }
            while let least = cursors.compactMap(\.key).min() {
                if count % 4096 == 0, shouldStop() { throw CancellationError() }
                var isWritten = false
                for i in cursors.indices where cursors[i].key == least {
                    if !isWritten {
                        let entry = cursors[i].entry
                        cursors[i].bytes.withUnsafeBytes {
                            list.raw(UnsafeRawBufferPointer(rebasing: $0[entry]))
                        }
                    }
                    isWritten = true
                    try step(i) { c throws(MalformedBytes) in
                        try c.advance(hasParent: hasParent)
                    }
                }
                count += 1
            }
            all.varint(count)
            all.raw(list.bytes)
            total += count
        }
        return (all.bytes, total)
    }

    private mutating func step(
        _ i: Int, _ body: (inout Cursor) throws(MalformedBytes) -> Void
    ) throws(PartCorruption) {
        do throws(MalformedBytes) {
            try body(&cursors[i])
        } catch {
            throw PartCorruption(name: cursors[i].name, offset: 0, problem: "calls: \(error)")
        }
    }
}

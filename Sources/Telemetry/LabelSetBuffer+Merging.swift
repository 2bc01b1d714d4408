// SPDX-License-Identifier: Apache-2.0
// Label sets out of others.

import Base

extension LabelSetBuffer {
    /// Becomes the union of two sealed sets, sealed; of equal names that of the first counts.
    /// O(bytes), one copy where all names of the second sort behind those of the first.
    package mutating func merge(
        _ first: borrowing LabelSetBuffer, _ second: borrowing LabelSetBuffer
    ) {
        reset()
        let needed = first.count &+ second.count
        if needed > capacity { grow(needed) }
        var right = LabelCursor(second.bytes)
        if first.labelCount == 0 || second.labelCount == 0
            || compareBytes(first.lastName, right.name) < 0
        {
            take(first.bytes)
            take(second.bytes)
            labelCount = first.labelCount &+ second.labelCount
            let last = second.labelCount == 0 ? first.lastNameStart : second.lastNameStart
            lastNameStart = second.labelCount == 0 ? last : first.count &+ last
            lastNameCount = second.labelCount == 0 ? first.lastNameCount : second.lastNameCount
        } else {
            var left = LabelCursor(first.bytes)
            while left.isInside, right.isInside {
                let order = compareBytes(left.name, right.name)
                if order <= 0 { take(&left) } else { take(&right) }
                if order == 0 { right.advance() }
            }
            while left.isInside { take(&left) }
            while right.isInside { take(&right) }
        }
        hasMetricName = first.hasMetricName || second.hasMetricName
    }

    private var lastName: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + lastNameStart, count: lastNameCount)
    }

    private mutating func take(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress else { return }
        copyText(source, bytes.count, to: base + count)
        count &+= bytes.count
    }

    private mutating func take(_ cursor: inout LabelCursor) {
        lastNameStart = count &+ cursor.nameOffset
        lastNameCount = cursor.name.count
        take(cursor.label)
        labelCount &+= 1
        cursor.advance()
    }
}

/// A label in canonical bytes.
private struct LabelCursor {
    private var reader: ByteReader
    private let bytes: UnsafeRawBufferPointer
    /// The label with its lengths; empty behind the last one.
    private(set) var label: UnsafeRawBufferPointer
    private(set) var name: UnsafeRawBufferPointer
    /// Where the name begins in `label`.
    private(set) var nameOffset = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        reader = ByteReader(bytes)
        label = UnsafeRawBufferPointer(start: nil, count: 0)
        name = label
        advance()
    }

    var isInside: Bool { !label.isEmpty }

    mutating func advance() {
        let start = reader.offset
        // Canonical bytes read back; their end is no label.
        guard !reader.isAtEnd, let name = try? reader.lengthPrefixed() else {
            label = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        nameOffset = reader.offset - name.count - start
        guard (try? reader.lengthPrefixed()) != nil else {
            label = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        self.name = name
        label = UnsafeRawBufferPointer(rebasing: bytes[start..<reader.offset])
    }
}

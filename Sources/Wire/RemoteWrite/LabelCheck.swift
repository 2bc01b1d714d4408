// SPDX-License-Identifier: Apache-2.0
// The rules a series' labels must obey.

import Base
import Telemetry

/// Collects the labels of one series and remembers the first rule that one of them breaks.
///
/// Source: prometheus/prometheus `storage/remote/write_handler.go` (names under the UTF-8 scheme).
struct LabelCheck: ~Copyable {
    var buffer = LabelSetBuffer()
    let limits: MetricDecodingLimits
    private var flaw = Flaw.none
    /// Whether texts were added whose UTF-8 nobody has checked.
    private var isUnchecked = false

    enum Flaw: UInt8 {
        case none, emptyName, notUTF8, tooMany, nameTooLong, valueTooLong
    }

    init(limits: MetricDecodingLimits) { self.limits = limits }

    mutating func reset() {
        buffer.reset()
        flaw = .none
        isUnchecked = false
    }

    /// Adds a label. What breaks a rule is still added, shortened, so that a message can show it.
    ///
    /// - Parameter knownUTF8: whether name and value were checked before.
    mutating func add(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, knownUTF8: Bool = false
    ) {
        if flaw == .none {
            if name.isEmpty {
                flaw = .emptyName
            } else if limits.labelNameBytes > 0, name.count > limits.labelNameBytes {
                flaw = .nameTooLong
            } else if limits.labelValueBytes > 0, value.count > limits.labelValueBytes {
                flaw = .valueTooLong
            } else if limits.labelsPerSeries > 0, buffer.labelCount >= limits.labelsPerSeries,
                !value.isEmpty
            {
                flaw = .tooMany
            } else {
                buffer.append(name, value)
                if !knownUTF8 { isUnchecked = true }
                return
            }
        }
        guard buffer.labelCount < 16 else { return }
        buffer.append(
            UnsafeRawBufferPointer(rebasing: name.prefix(64)),
            UnsafeRawBufferPointer(rebasing: value.prefix(64)))
    }

    /// Adds the labels at the start of a series message, as long as they are as all senders write
    /// them: sorted, each name and value below 128 bytes and not empty, nothing between them.
    ///
    /// What stands in the message then is nearly what canonical bytes are, so that each label costs
    /// two short copies. For an empty check only.
    ///
    /// - Parameter message: from the first label to the end of the message.
    /// - Returns: bytes that were taken. The next field is for `add`, or is no label.
    mutating func addPlain(_ message: UnsafeRawBufferPointer) -> Int {
        guard let base = message.baseAddress else { return 0 }
        let end = message.count
        // Copies run over their ends by as much as one piece.
        let target = buffer.room(end &+ LabelCheck.piece)
        let maxName = limits.labelNameBytes > 0 ? min(limits.labelNameBytes, 127) : 127
        let maxValue = limits.labelValueBytes > 0 ? min(limits.labelValueBytes, 127) : 127
        let maxLabels = limits.labelsPerSeries > 0 ? limits.labelsPerSeries : .max
        var offset = 0
        var written = 0
        var labels = 0
        var lastName = 0..<0
        var hasMetricName = false
        @inline(__always) func byte(_ at: Int) -> Int {
            Int(base.load(fromByteOffset: at, as: UInt8.self))
        }
        while end &- offset >= 8, byte(offset) == 0x0a, labels < maxLabels {
            let length = byte(offset &+ 1), name = byte(offset &+ 3)
            let next = offset &+ 2 &+ length
            guard length < 0x80, next <= end, byte(offset &+ 2) == 0x0a, name > 0,
                name <= maxName, name &+ 5 <= length, byte(offset &+ 4 &+ name) == 0x12
            else { break }
            let value = byte(offset &+ 5 &+ name)
            guard value <= maxValue, name &+ value &+ 4 == length else { break }
            let text = UnsafeRawBufferPointer(start: base + (offset &+ 4), count: name)
            if labels > 0 {
                let last = UnsafeRawBufferPointer(
                    start: target + lastName.lowerBound, count: lastName.count)
                guard last[0] < text[0] || compareBytes(last, text) < 0 else { break }
            }
            if name == 8,
                base.loadUnaligned(fromByteOffset: offset &+ 4, as: UInt64.self).littleEndian
                    == 0x5f5f_656d_616e_5f5f
            {
                hasMetricName = true
            }
            lastName = (written &+ 1)..<(written &+ 1 &+ name)
            // Length and text stand together in both forms.
            let room = end &- offset
            LabelCheck.copy(
                base + (offset &+ 3), name &+ 1, room &- 3, to: target + written)
            written &+= name &+ 1
            LabelCheck.copy(
                base + (offset &+ 5 &+ name), value &+ 1, room &- 5 &- name, to: target + written)
            written &+= value &+ 1
            labels &+= 1
            offset = next
        }
        guard labels > 0 else { return 0 }
        isUnchecked = true
        buffer.wrote(written, labels: labels, lastName: lastName, hasMetricName: hasMetricName)
        return offset
    }

    private static let piece = 32

    /// Copies in one piece what is shorter than a piece, where as much may be read.
    @inline(__always)
    private static func copy(
        _ source: UnsafeRawPointer, _ count: Int, _ readable: Int,
        to target: UnsafeMutableRawPointer
    ) {
        if count <= piece, readable >= piece {
            target.storeBytes(
                of: source.loadUnaligned(as: SIMD32<UInt8>.self), as: SIMD32<UInt8>.self)
        } else {
            target.copyMemory(from: source, byteCount: count)
        }
    }

    /// Puts the labels in order and returns what is wrong with them.
    mutating func seal(requireName: Bool = true) -> SeriesProblem? {
        // Lengths below 128 are ASCII too, so one pass over all labels settles most of them.
        if isUnchecked, flaw == .none, !isASCII(buffer.bytes) {
            forEachLabel(in: buffer.bytes) { name, value in
                if !isValidUTF8(name) || !isValidUTF8(value) { flaw = .notUTF8 }
            }
        }
        switch flaw {
        case .none: break
        case .emptyName, .notUTF8:
            return SeriesProblem(
                .invalidLabels, "invalid metric name or labels, got \(buffer.text)")
        case .tooMany:
            return SeriesProblem(
                .limit, "more than \(limits.labelsPerSeries) labels in series \(excerpt)")
        case .nameTooLong:
            return SeriesProblem(
                .limit,
                "label name longer than \(limits.labelNameBytes) bytes in series \(excerpt)")
        case .valueTooLong:
            return SeriesProblem(
                .limit,
                "label value longer than \(limits.labelValueBytes) bytes in series \(excerpt)")
        }
        if requireName, !buffer.hasMetricName {
            return SeriesProblem(.invalidLabels, "invalid metric name or labels, got \(excerpt)")
        }
        if buffer.isSealed { return nil }
        let text = excerpt
        guard let name = buffer.firstDuplicate() else { return nil }
        return SeriesProblem(
            .duplicateLabel, "invalid labels for series, labels \(text), duplicated label \(name)")
    }

    /// The labels as text, cut to a length that suits a message.
    var excerpt: String {
        let text = buffer.text
        return text.utf8.count <= 512 ? text : String(text.prefix(512)) + "…"
    }
}

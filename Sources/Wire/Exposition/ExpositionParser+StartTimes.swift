// SPDX-License-Identifier: Apache-2.0
// Start times that OpenMetrics keeps in series of their own.

import Base
import Telemetry

/// What the `_created` series of one family say.
struct StartTimes {
    /// Whether the text holds the suffix at all; most do not.
    var mayExist = false
    /// The family whose times are known, as its place in the text.
    var family = 0..<0
    /// Where that family's unbroken run of lines ends.
    var end = 0
    /// Milliseconds by a hash of the labels. Whoever makes two of them collide is the exporter of
    /// both series and confuses nobody else.
    var millis: [UInt64: Int64] = [:]

    static func occur(in text: UnsafeRawBufferPointer) -> Bool {
        let suffix: StaticString = "_created"
        return find(
            suffix.bytes,
            in: text) != nil
    }
}

extension ExpositionParser {
    /// Whether the current series states the start time of its family's other series: OpenMetrics'
    /// `_created` of a counter, summary or histogram.
    package var isCreated: Bool {
        starts.mayExist && suffix().map { isWord($0, "_created") } ?? false
    }

    /// When the current series started, in milliseconds; 0 when the text does not say.
    ///
    /// - Complexity: the first call in a family reads ahead to its end; later calls look up.
    package mutating func startMillis() -> Int64 {
        guard starts.mayExist, let suffix = suffix(), !isWord(suffix, "_created") else { return 0 }
        if starts.family != typeName || entryStart >= starts.end { readStarts() }
        if starts.millis.isEmpty { return 0 }
        return starts.millis[labelsHash()] ?? 0
    }

    /// What follows the family's name in the current series' name; nil when the series is none of a
    /// family that can have start times.
    private func suffix() -> UnsafeRawBufferPointer? {
        guard let name, type == .counter || type == .summary || type == .histogram else {
            return nil
        }
        let family = lexer.slice(typeName.lowerBound, typeName.upperBound)
        let whole = lexer.slice(name.lowerBound, name.upperBound)
        guard whole.count >= family.count,
            equalBytes(UnsafeRawBufferPointer(rebasing: whole.prefix(family.count)), family)
        else { return nil }
        let suffix = UnsafeRawBufferPointer(rebasing: whole.dropFirst(family.count))
        let belongs =
            isWord(suffix, "_created")
            || {
                switch type {
                case .counter: suffix.isEmpty || isWord(suffix, "_total")
                case .summary:
                    suffix.isEmpty || isWord(suffix, "_count") || isWord(suffix, "_sum")
                default:
                    isWord(suffix, "_bucket") || isWord(suffix, "_count") || isWord(suffix, "_sum")
                }
            }()
        return belongs ? suffix : nil
    }

    private mutating func readStarts() {
        starts.family = typeName
        starts.millis.removeAll(keepingCapacity: true)
        var ahead = self
        ahead.lexer.offset = entryStart
        ahead.lexer.state = .initial
        while true {
            // An error ends the look ahead; the parser itself will come to it.
            guard let entry = try? ahead.next(), entry == .series, let suffix = ahead.suffix()
            else {
                starts.end = max(ahead.entryStart, entryStart &+ 1)
                return
            }
            guard isWord(suffix, "_created"), ahead.value.isFinite else { continue }
            let millis = ahead.value * 1000
            if millis.magnitude < 0x1p63 { starts.millis[ahead.labelsHash()] = Int64(millis) }
        }
    }

    /// Hash of the current series' labels in any order, without name, `le` of a histogram and
    /// `quantile` of a summary.
    private func labelsHash() -> UInt64 {
        var sum: UInt64 = 0
        for span in labels {
            let name = lexer.slice(span.nameStart, span.nameEnd)
            if type == .histogram && isWord(name, "le")
                || type == .summary && isWord(name, "quantile")
            {
                continue
            }
            sum &+= hash64(lexer.slice(span.valueStart, span.valueEnd), seed: hash64(name))
        }
        return sum
    }
}

// SPDX-License-Identifier: Apache-2.0
// Symbols, streams and postings of a part.

import Base
import Telemetry

/// The streams of a part by their labels: symbols and label pairs in order, and for each pair the
/// streams that have it.
struct StreamIndex: Sendable {
    /// A label pair and where its streams lie in `postings`.
    struct Pair: Sendable, Equatable {
        var name: UInt32
        var value: UInt32
        var range: Range<Int>
    }
    /// Ascending by labels.
    let streams: [Labels]
    /// Distinct names and values, ascending bytewise.
    private let symbols: [[UInt8]]
    /// Ascending by name, then value.
    private let pairs: [Pair]
    private let postings: [UInt32]

    /// - Parameter streams: ascending and distinct.
    init(_ streams: [Labels]) {
        self.streams = streams
        var distinct: Set<[UInt8]> = []
        for stream in streams {
            stream.forEachBytes { name, value in
                distinct.insert([UInt8](name))
                distinct.insert([UInt8](value))
            }
        }
        symbols = distinct.sorted { $0.lexicographicallyPrecedes($1) }
        var numbers: [[UInt8]: UInt32] = [:]
        for (number, symbol) in symbols.enumerated() { numbers[symbol] = UInt32(number) }
        var entries: [(pair: UInt64, stream: UInt32)] = []
        for (stream, labels) in streams.enumerated() {
            labels.forEachBytes { name, value in
                let pair =
                    UInt64(numbers[[UInt8](name)] ?? 0) << 32
                    | UInt64(numbers[[UInt8](value)] ?? 0)
                entries.append((pair, UInt32(stream)))
            }
        }
        entries.sort { $0.pair == $1.pair ? $0.stream < $1.stream : $0.pair < $1.pair }
        var pairs: [Pair] = []
        for (position, entry) in entries.enumerated() {
            if position == 0 || entries[position - 1].pair != entry.pair {
                pairs.append(
                    Pair(
                        name: UInt32(truncatingIfNeeded: entry.pair >> 32),
                        value: UInt32(truncatingIfNeeded: entry.pair),
                        range: position..<position))
            }
            pairs[pairs.count - 1].range = pairs[pairs.count - 1].range.lowerBound..<(position + 1)
        }
        self.pairs = pairs
        postings = entries.map(\.stream)
    }

    // MARK: - Coding

    func encodedSymbols() -> [UInt8] {
        var out = ByteWriter()
        out.varint(symbols.count)
        for symbol in symbols { out.lengthPrefixed(symbol) }
        return out.bytes
    }

    func encodedStreams() -> [UInt8] {
        var out = ByteWriter()
        out.varint(streams.count)
        for labels in streams {
            var numbers: [Int] = []
            labels.forEachBytes { name, value in
                numbers.append(symbolNumber(name) ?? 0)
                numbers.append(symbolNumber(value) ?? 0)
            }
            out.varint(numbers.count / 2)
            for number in numbers { out.varint(number) }
        }
        return out.bytes
    }

    func encodedPostings() -> [UInt8] {
        var out = ByteWriter()
        out.varint(pairs.count)
        for pair in pairs {
            out.varint(UInt64(pair.name))
            out.varint(UInt64(pair.value))
            out.varint(pair.range.count)
            var previous: UInt32?
            for stream in postings[pair.range] {
                out.varint(UInt64(previous.map { stream - $0 - 1 } ?? stream))
                previous = stream
            }
        }
        return out.bytes
    }

    /// Reads the three sections; everything that look-ups rely on is checked.
    init(
        symbols symbolBytes: [UInt8], streams streamBytes: [UInt8], postings postingBytes: [UInt8]
    ) throws(MalformedBytes) {
        symbols = try parse(symbolBytes) { reader throws(MalformedBytes) in
            let count = try reader.length(limit: reader.remaining, "number of symbols")
            var symbols: [[UInt8]] = []
            symbols.reserveCapacity(count)
            for _ in 0..<count {
                let symbol = [UInt8](try reader.lengthPrefixed())
                guard symbols.last.map({ $0.lexicographicallyPrecedes(symbol) }) ?? true else {
                    throw reader.malformed("ascending symbols")
                }
                symbols.append(symbol)
            }
            return symbols
        }
        let symbols = symbols
        streams = try parse(streamBytes) { reader throws(MalformedBytes) in
            let count = try reader.length(limit: reader.remaining, "number of streams")
            var streams: [Labels] = []
            streams.reserveCapacity(count)
            for _ in 0..<count {
                let pairCount = try reader.length(limit: reader.remaining, "number of labels")
                var labels = ByteWriter()
                for _ in 0..<(2 * pairCount) {
                    let number = try reader.length(limit: reader.count, "symbol")
                    guard number < symbols.count else { throw reader.malformed("known symbol") }
                    labels.lengthPrefixed(symbols[number])
                }
                guard labels.bytes.withUnsafeBytes(isCanonicalLabels) else {
                    throw reader.malformed("canonical labels")
                }
                let stream = Labels(canonical: labels.bytes)
                guard streams.last.map({ $0 < stream }) ?? true else {
                    throw reader.malformed("ascending streams")
                }
                streams.append(stream)
            }
            return streams
        }
        let streamCount = streams.count
        (pairs, postings) = try parse(postingBytes) { reader throws(MalformedBytes) in
            let count = try reader.length(limit: reader.remaining, "number of label pairs")
            var pairs: [Pair] = []
            var postings: [UInt32] = []
            for _ in 0..<count {
                let name = try reader.length(limit: reader.count, "symbol")
                let value = try reader.length(limit: reader.count, "symbol")
                guard name < symbols.count, value < symbols.count else {
                    throw reader.malformed("known symbol")
                }
                if let last = pairs.last,
                    (Int(last.name), Int(last.value)) >= (name, value)
                {
                    throw reader.malformed("ascending label pairs")
                }
                let n = try reader.length(limit: reader.remaining, "number of postings")
                let start = postings.count
                var next = 0
                for _ in 0..<n {
                    let stream = next + (try reader.length(limit: streamCount, "posting"))
                    guard stream < streamCount else { throw reader.malformed("known stream") }
                    postings.append(UInt32(stream))
                    next = stream + 1
                }
                pairs.append(
                    Pair(
                        name: UInt32(name), value: UInt32(value), range: start..<postings.count))
            }
            return (pairs, postings)
        }
    }

    /// Whether the postings are the ones that follow from the streams: for verifying.
    var postingsAgree: Bool {
        let made = StreamIndex(streams)
        return made.symbols == symbols && made.postings == postings
            && made.pairs == pairs
    }

    // MARK: - Looking up

    private func symbolNumber(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var low = 0, high = symbols.count
        while low < high {
            let middle = (low + high) / 2
            let order = symbols[middle].withUnsafeBytes { compareBytes($0, bytes) }
            if order == 0 { return middle }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    /// Indices of streams that satisfy all matchers, ascending. Each distinct value of a label is
    /// matched once, not once per stream.
    func matching(_ matchers: [LabelMatcher]) -> [Int] {
        if matchers.isEmpty { return Array(streams.indices) }
        var selected = [Bool](repeating: true, count: streams.count)
        for matcher in matchers {
            // Streams without the label stand for the empty value.
            var satisfied = [Bool](repeating: matcher.matchesEmpty, count: streams.count)
            for pair in pairs(named: matcher.name) {
                let holds = symbols[Int(pair.value)].withUnsafeBytes { matcher.matches($0) }
                for stream in postings[pair.range] { satisfied[Int(stream)] = holds }
            }
            for stream in selected.indices where !satisfied[stream] { selected[stream] = false }
        }
        return selected.indices.filter { selected[$0] }
    }

    private func pairs(named name: String) -> ArraySlice<Pair> {
        let bytes = Array(name.utf8)
        guard let number = bytes.withUnsafeBytes({ symbolNumber($0) }) else { return [] }
        func firstPair(from wanted: Int) -> Int {
            var low = 0, high = pairs.count
            while low < high {
                let middle = (low + high) / 2
                if Int(pairs[middle].name) < wanted { low = middle + 1 } else { high = middle }
            }
            return low
        }
        return pairs[firstPair(from: number)..<firstPair(from: number + 1)]
    }
}

/// Runs a parser over a whole section.
func parse<T>(
    _ bytes: [UInt8], _ body: (inout ByteReader) throws(MalformedBytes) -> T
) throws(MalformedBytes) -> T {
    let result = bytes.withUnsafeBytes { raw -> Result<T, MalformedBytes> in
        var reader = ByteReader(raw)
        do throws(MalformedBytes) {
            let value = try body(&reader)
            guard reader.isAtEnd else { throw reader.malformed("end of the section") }
            return .success(value)
        } catch { return .failure(error) }
    }
    return try result.get()
}

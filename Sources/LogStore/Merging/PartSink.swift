// SPDX-License-Identifier: Apache-2.0
// Merged rows and blocks on their way into parts.

import Base
import Storage
import Telemetry

/// Distributes merged rows to the parts of their day and retention class.
struct PartSink: RowSink {
    private struct Key: Hashable, Comparable {
        var day: Int32
        var retentionClass: UInt8
        static func < (a: Key, b: Key) -> Bool {
            (a.day, a.retentionClass) < (b.day, b.retentionClass)
        }
    }
    private let streams: [Labels]
    private let configuration: LogStoreConfiguration
    private let level: Int32
    private let classOf: (Labels) -> UInt8
    private var builders: [LogPartBuilder] = []
    private var numbers: [Key: Int] = [:]
    /// By builder, then source: what is taken over of it.
    private var carried: [[UInt32: CarriedPart]] = []
    private var current = -1
    private var retentionClass: UInt8 = 0

    init(
        _ streams: [Labels], _ configuration: LogStoreConfiguration, level: Int32,
        _ retentionClass: @escaping (Labels) -> UInt8
    ) {
        self.streams = streams
        self.configuration = configuration
        self.level = level
        classOf = retentionClass
    }

    /// Takes over a block as it is, with the frame of its lines.
    ///
    /// - Parameter recompresses: whether its part was written with another level.
    mutating func carry(
        _ number: Int, of part: LogPart, source: UInt32, stream: Int, _ cache: FrameCache,
        recompresses: Bool
    ) throws {
        turn(to: stream)
        let day = utcDay(ofNanos: part.blocks[number].minNanos)
        let target = builder(Key(day: day, retentionClass: retentionClass))
        let carrier =
            carried[target][source] ?? CarriedPart(part, cache, recompresses: recompresses)
        carried[target][source] = carrier
        builders[target].begin(streams[stream])
        try builders[target].carry(number, of: carrier)
    }

    /// Takes over the words of what was taken over; once, before `finish`.
    mutating func carryWords() throws {
        for target in builders.indices {
            for (_, carrier) in carried[target].sorted(by: { $0.key < $1.key }) {
                try builders[target].carryWords(of: carrier)
            }
        }
    }

    private mutating func turn(to stream: Int) {
        guard stream != current else { return }
        current = stream
        retentionClass = classOf(streams[stream])
    }

    mutating func take(_ rows: DecodedRows, _ positions: Range<Int>, stream: Int) -> Bool {
        turn(to: stream)
        func day(_ position: Int) -> Int32 {
            utcDay(ofNanos: rows.nanos[Int(rows.selection[position])])
        }
        var start = positions.lowerBound
        while start < positions.upperBound {
            let first = day(start)
            // Times ascend, so that mostly all are of one day.
            var end = positions.upperBound
            if day(end - 1) != first {
                end = start + 1
                while day(end) == first { end += 1 }
            }
            let number = builder(Key(day: first, retentionClass: retentionClass))
            builders[number].begin(streams[stream])
            builders[number].append(rows, start..<end)
            start = end
        }
        return true
    }

    private mutating func builder(_ key: Key) -> Int {
        if let known = numbers[key] { return known }
        builders.append(
            LogPartBuilder(
                level: level, blockBytes: configuration.blockBytes,
                blockRows: configuration.blockRows,
                lineFrameBytes: configuration.lineFrameBytes,
                bytesPerRangeByte: configuration.bytesPerRangeByte))
        numbers[key] = builders.count - 1
        carried.append([:])
        return builders.count - 1
    }

    /// The parts, by day and retention class.
    mutating func finish(tenant: String) -> [PartDraft] {
        var drafts: [PartDraft] = []
        for (key, number) in numbers.sorted(by: { $0.key < $1.key }) {
            let draft = builders[number].finish(
                tenant: tenant, day: key.day, retentionClass: key.retentionClass)
            if let draft { drafts.append(draft) }
        }
        return drafts
    }
}

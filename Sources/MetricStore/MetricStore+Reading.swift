// SPDX-License-Identifier: Apache-2.0
// Answers to engines.

import Base
import Storage
import Synchronization
import Telemetry

extension MetricStore {
    package func select(
        _ request: SeriesRequest, _ context: ReadContext
    ) throws -> any SeriesSet {
        let snapshot = snapshot(request.tenant)
        noteMissing(request.tenant, request.range, context)
        let parts = snapshot.parts.filter { $0.overlaps(request.range) }
        var builder = SeriesSetBuilder(sourceCount: parts.count + snapshot.heads.count, context)
        for part in parts {
            let found = try tolerating(part, context) {
                let index = try index(of: part)
                return (index: index, ids: try index.select(request.matchers, context))
            }
            guard let (index, ids) = found else { continue }
            let source = builder.addPart(part, index)
            for (number, series) in ids.ids.enumerated() {
                if number & 1023 == 1023 { try context.check() }
                guard part.hasSamples(Int(series), request.range, index) else { continue }
                builder.add(
                    Labels(canonical: index.labels(Int(series))), part: source, series: series)
            }
            try builder.reserve()
        }
        for head in snapshot.heads {
            for shard in head.shards {
                // Out of the lock with copies: the merge below is none of the writers' business.
                let found = try shard.select(request, context)
                for (number, (labels, piece)) in found.enumerated() {
                    if number & 1023 == 1023 { try context.check() }
                    builder.add(labels, head: piece)
                }
                try builder.reserve()
            }
        }
        return try builder.finish(request.range)
    }

    /// Runs what reads one part. Damage is noted in the context, and nil is the answer.
    @discardableResult
    private func tolerating<R>(
        _ part: MetricPart, _ context: ReadContext, _ body: () throws -> R
    ) throws -> R? {
        do {
            return try body()
        } catch var fault as PartCorruption {
            if fault.name.isEmpty { fault.name = part.handle.reader.name }
            context.noteMissing(fault)
            return nil
        }
    }

    package func labelNames(
        _ request: SeriesRequest, _ context: ReadContext
    ) throws -> [String] {
        var names = InternTable()
        try forEachIndex(
            request, context,
            part: { index, ids in
                guard let ids else {
                    for name in 0..<index.nameCount {
                        index.withName(name) { _ = names.intern($0) }
                    }
                    return
                }
                var symbols = Set<Int>()
                for series in ids.ids { index.nameSymbols(Int(series)) { symbols.insert($0) } }
                for symbol in symbols { index.withSymbol(symbol) { _ = names.intern($0) } }
            },
            shard: { state, ids in
                guard let ids else {
                    for name in 0..<state.index.nameCount {
                        state.index.withName(name) { _ = names.intern($0) }
                    }
                    return
                }
                for series in ids.ids {
                    state.labels.withBytes(Int(series)) {
                        forEachLabel(in: $0) { name, _ in _ = names.intern(name) }
                    }
                }
            })
        return names.sortedTexts()
    }

    package func labelValues(
        _ name: String, _ request: SeriesRequest, _ context: ReadContext
    ) throws -> [String] {
        var values = InternTable()
        try forEachIndex(
            request, context,
            part: { index, ids in
                guard let number = withBytes(of: name, { index.findName($0) }) else { return }
                guard let ids else {
                    for value in 0..<index.valueCount(number) {
                        index.withValue(number, value) { _ = values.intern($0) }
                    }
                    return
                }
                var symbols = Set<Int>()
                let nameSymbol = index.nameSymbol(number)
                for series in ids.ids {
                    if let symbol = index.valueSymbol(Int(series), name: nameSymbol) {
                        symbols.insert(symbol)
                    }
                }
                for symbol in symbols { index.withSymbol(symbol) { _ = values.intern($0) } }
            },
            shard: { state, ids in
                guard let number = withBytes(of: name, { state.findName($0) }) else { return }
                guard let ids else {
                    for value in 0..<state.valueCount(number) {
                        state.withValue(number, value) { _ = values.intern($0) }
                    }
                    return
                }
                for series in ids.ids {
                    state.labels.withBytes(Int(series)) { labels in
                        let value = withBytes(of: name) { labelValue(of: $0, in: labels) }
                        if let value { _ = values.intern(value) }
                    }
                }
            })
        return values.sortedTexts()
    }

    /// Calls back for each part and head shard that overlaps the range, with the selected series,
    /// or nil when there are no matchers. The shard's call runs under its lock.
    private func forEachIndex(
        _ request: SeriesRequest, _ context: ReadContext,
        part: (PartIndex, Postings?) throws -> Void,
        shard: (borrowing ShardState, Postings?) throws -> Void
    ) throws {
        let snapshot = snapshot(request.tenant)
        noteMissing(request.tenant, request.range, context)
        for opened in snapshot.parts where opened.overlaps(request.range) {
            try context.check()
            try tolerating(opened, context) {
                let index = try index(of: opened)
                var ids =
                    request.matchers.isEmpty ? nil : try index.select(request.matchers, context)
                if !opened.deletions.isEmpty {
                    let span = opened.span.intersection(request.range)
                    ids = Postings(
                        ascending: (ids ?? Postings(all: index.seriesCount)).ids.filter {
                            !opened.deletions.covers(Int($0), span)
                        })
                }
                try part(index, ids)
            }
        }
        for head in snapshot.heads {
            try context.check()
            for one in head.shards {
                try one.state.withLock { state in
                    guard state.overlaps(request.range) else { return }
                    let ids =
                        request.matchers.isEmpty
                        ? nil : try state.select(request.matchers, context)
                    try shard(state, ids)
                }
            }
        }
    }

    package func exemplars(
        _ request: SeriesRequest, _ context: ReadContext
    ) throws -> [Exemplar] {
        let snapshot = snapshot(request.tenant)
        noteMissing(request.tenant, request.range, context)
        var found: [Labels: [HeadExtras.Exemplar]] = [:]
        func add(_ labels: Labels, _ list: [HeadExtras.Exemplar]) {
            for one in list
            where request.range.overlaps(first: one.millis, last: one.millis)
                && !(found[labels]?.contains(one) ?? false)
            {
                found[labels, default: []].append(one)
            }
        }
        for part in snapshot.parts where part.overlaps(request.range) {
            try context.check()
            try tolerating(part, context) {
                let kept = try part.exemplars()
                if kept.isEmpty { return }
                let index = try index(of: part)
                let selected = Set(try index.select(request.matchers, context).ids)
                for (series, list) in kept where selected.contains(UInt32(series)) {
                    add(Labels(canonical: index.labels(series)), list)
                }
            }
        }
        for head in snapshot.heads {
            try context.check()
            for shard in head.shards {
                let kept = try shard.state.withLock { state in
                    try state.select(request.matchers, context).ids.compactMap { ref in
                        let extras = state.series[Int(ref)].extras
                        return extras == .max || state.extras[Int(extras)].exemplars.isEmpty
                            ? nil
                            : (
                                Labels(canonical: state.labels.bytes(Int(ref))),
                                state.extras[Int(extras)].exemplars
                            )
                    }
                }
                for (labels, list) in kept { add(labels, list) }
            }
        }
        return found.sorted { $0.key < $1.key }.flatMap { labels, list in
            list.sorted { $0.millis < $1.millis }.map {
                Exemplar(
                    series: labels, labels: Labels(canonical: $0.labels), millis: $0.millis,
                    value: Double(bitPattern: $0.value))
            }
        }
    }

    package func metadata(
        _ tenant: Tenant, family: String?
    ) throws -> [(String, [MetricMetadata])] {
        let table = metadata(tenant)
        guard let family else { return table.sorted() }
        return table.families[family].map { [(family, $0)] } ?? []
    }
}

extension ShardState {
    func overlaps(_ range: MillisRange) -> Bool {
        minMillis <= maxMillis && range.overlaps(first: minMillis, last: maxMillis)
    }
}

extension HeadShard {
    /// Copies of the selected series that have samples around the range.
    fileprivate func select(
        _ request: SeriesRequest, _ context: ReadContext
    ) throws -> [(Labels, HeadPiece)] {
        try state.withLock { state in
            guard state.overlaps(request.range) else { return [] }
            var found: [(Labels, HeadPiece)] = []
            let selected = try state.select(request.matchers, context).ids
            for (number, ref) in selected.enumerated() {
                if number & 1023 == 1023 { try context.check() }
                let piece = HeadPiece(state, Int(ref))
                guard piece.overlaps(request.range) else { continue }
                found.append(
                    (
                        Labels(
                            canonical: state.labels.bytes(Int(ref)),
                            hash: state.labels.hash(Int(ref))), piece
                    ))
            }
            return found
        }
    }
}

extension InternTable {
    /// All entries as text, ascending bytewise.
    fileprivate func sortedTexts() -> [String] {
        (0..<count).map { bytes($0) }
            .sorted { $0.lexicographicallyPrecedes($1) }
            .map { String(decoding: $0, as: UTF8.self) }
    }
}

// SPDX-License-Identifier: Apache-2.0
// From the stages as written to stages that run.

import Base
import Telemetry

/// A compiled pipeline. Belongs to one query on one thread: its stages keep scratch memory.
final class Pipeline {
    private let stages: [any Stage]
    let state: LineState
    /// Whether a line's final labels can differ from those of its stream and metadata.
    let changesLabels: Bool
    /// Conditions on the original line that a store may use.
    let pushedFilters: [LineFilter]
    /// Conditions on labels of the stream and structured metadata that a store may use.
    let pushedConditions: [LabelMatcher]
    /// The same of numbers.
    let pushedNumbers: [NumberCondition]

    /// - Parameters:
    ///   - nowNanos: what `now` is to templates.
    ///   - needed: labels that the pipeline's user looks at; nil = all.
    init(
        _ syntax: [StageSyntax], nowNanos: Int64, extra: [any Stage] = [],
        needed: Set<String>? = nil
    ) throws {
        // The lines themselves show what is wrong with them; numbers over them do not.
        state = LineState(
            wanted: NeededLabels.names(syntax, consumer: needed), stopsEarly: needed != nil)
        stages = try syntax.map { try Pipeline.compile($0, nowNanos) } + extra
        changesLabels =
            !extra.isEmpty
            || syntax.contains { stage in
                switch stage {
                case .lineFilter, .decolorize: false
                // A comparison can fail to convert and then adds `__error__`.
                case .labelFilter(.matcher): false
                default: true
                }
            }
        pushedFilters = Pipeline.pushedFilters(syntax)
        let filters = Pipeline.filtersOfStoredLabels(syntax)
        pushedConditions = filters.compactMap(\.pushedMatcher)
        pushedNumbers = filters.compactMap(\.pushedNumber)
    }

    private static func compile(_ syntax: StageSyntax, _ nowNanos: Int64) throws -> any Stage {
        switch syntax {
        case .lineFilter(let filter): try LineFilterStage(filter)
        case .json(let fields): fields.isEmpty ? JSONStage() : try JSONFieldsStage(fields)
        case .logfmt(let strict, let keepEmpty, let fields):
            LogfmtStage(strict: strict, keepEmpty: keepEmpty, fields)
        case .regexp(let pattern): try RegexpStage(pattern)
        case .pattern(let pattern): try PatternStage(pattern)
        case .unpack: UnpackStage()
        case .labelFilter(let filter): try LabelFilterStage(filter)
        case .lineFormat(let template): try LineFormatStage(template, nowNanos: nowNanos)
        case .labelFormat(let formats): try LabelFormatStage(formats, nowNanos: nowNanos)
        case .decolorize: DecolorizeStage()
        case .drop(let selections): DropStage(selections)
        case .keep(let selections): KeepStage(selections)
        }
    }

    /// Filters in front of the first stage that rewrites the line. Alternatives of a positive filter
    /// cannot be handed down one by one; those of a negated filter must all fail, so they can.
    private static func pushedFilters(_ syntax: [StageSyntax]) -> [LineFilter] {
        var result: [LineFilter] = []
        for stage in syntax {
            switch stage {
            case .lineFormat, .unpack, .decolorize: return result
            case .lineFilter(let filter): result += hints(filter)
            default: continue
            }
        }
        return result
    }

    /// Comparisons in front of the first stage that changes labels, all of which must hold. Names that
    /// the engine makes up are left to it.
    private static func filtersOfStoredLabels(_ syntax: [StageSyntax]) -> [LabelFilterSyntax] {
        func parts(_ filter: LabelFilterSyntax) -> [LabelFilterSyntax] {
            if case .all(let all) = filter { return all.flatMap(parts) }
            let isStored = filter.names.allSatisfy {
                !$0.hasPrefix("__") && !$0.hasSuffix("_extracted")
            }
            return isStored ? [filter] : []
        }
        var result: [LabelFilterSyntax] = []
        for stage in syntax {
            switch stage {
            case .labelFilter(let filter): result += parts(filter)
            case .lineFilter, .decolorize, .lineFormat: continue
            case .json, .logfmt, .regexp, .pattern, .unpack, .labelFormat, .drop, .keep:
                return result
            }
        }
        return result
    }

    private static func hints(_ filter: LineFilterSyntax) -> [LineFilter] {
        let texts = filter.alternatives.filter { !$0.isIP }.map(\.text)
        // An empty text lets everything pass, negated or not.
        guard !texts.contains("") else { return [] }
        let isSingle = filter.alternatives.count == 1
        switch filter.operation {
        case .contains: return isSingle ? texts.map { LineFilter(.contains, $0) } : []
        case .matches: return isSingle ? texts.map { LineFilter(.matches, $0) } : []
        case .notContains: return texts.map { LineFilter(.notContains, $0) }
        case .notMatches: return texts.map { LineFilter(.notMatches, $0) }
        case .pattern:
            guard isSingle, let text = texts.first, let pattern = try? LinePattern(filter: text)
            else { return [] }
            return pattern.literals.map { LineFilter(.contains, $0) }
        case .notPattern: return []
        }
    }

    /// Runs the stages over the state's line; false when one dropped it.
    func keeps() -> Bool {
        for stage in stages where !stage.process(state) { return false }
        return true
    }
}

extension LabelFilterSyntax {
    /// The comparison as text, for a store.
    fileprivate var pushedMatcher: LabelMatcher? {
        if case .matcher(let matcher) = self { return matcher }
        return nil
    }

    /// The comparison as a number, for a store. Of durations a number without a unit is none.
    fileprivate var pushedNumber: NumberCondition? {
        switch self {
        case .number(let name, let operation, let value):
            return NumberCondition(name, operation.ofNumbers, value)
        case .bytes(let name, let operation, let count):
            // Compared as whole numbers by the engine: the same unless rounded.
            guard let value = Double(exactly: count) else { return nil }
            return NumberCondition(name, operation.ofNumbers, value, takesMinus: false)
        case .matcher, .duration, .ip, .all, .any: return nil
        }
    }
}

extension ComparisonOperation {
    fileprivate var ofNumbers: NumberCondition.Comparison {
        switch self {
        case .equal: .equal
        case .notEqual: .notEqual
        case .greater: .greater
        case .greaterOrEqual: .greaterOrEqual
        case .less: .less
        case .lessOrEqual: .lessOrEqual
        }
    }
}

/// Counts of what a query read and kept.
package struct LogQLStatistics: Sendable, Equatable {
    package var linesRead = 0
    package var bytesRead = 0
    package var metadataBytesRead = 0
    package var linesKept = 0
    package init() {}
}

extension Pipeline {
    /// Reads the request's rows, checks time and matchers again, runs the pipeline and hands each
    /// line that is left to `body` in `state`, but for lines that `counting` takes as a whole.
    /// `stream` is the row's stream in its batch and `batch` the batch's number, so that `body` can
    /// remember what it found out about a stream.
    func run(
        _ request: LogRequest, on reader: any LogReading, _ context: ReadContext,
        _ statistics: inout LogQLStatistics, counting: RowCounting? = nil,
        _ body: (_ state: LineState, _ stream: Int, _ batch: Int, _ hasMetadata: Bool) throws
            -> Bool
    ) throws {
        var counts = statistics
        defer { statistics = counts }
        var number = 0
        var matching: [Bool?] = []
        func take(_ batch: LogBatch) throws -> Bool {
            try context.check()
            number += 1
            matching.removeAll(keepingCapacity: true)
            matching.append(contentsOf: repeatElement(nil, count: batch.streams.count))
            return try batch.arena.withUnsafeBytes { arena -> Bool in
                for row in 0..<batch.rowCount {
                    let nanos = batch.nanos[row]
                    guard request.range.contains(nanos) else { continue }
                    let stream = Int(batch.rowStreams[row])
                    let labels = arena.part(batch.streams[stream].slice.range)
                    let matches = matching[stream] ?? request.matchers.match(labels)
                    matching[stream] = matches
                    guard matches else { continue }
                    let line = arena.part(batch.lines[row].range)
                    let metadata = arena.part(batch.metadata[row].range)
                    counts.linesRead += 1
                    counts.bytesRead += line.count
                    counts.metadataBytesRead += metadata.count
                    state.begin(
                        line: line, nanos: nanos, streamLabels: labels, metadata: metadata)
                    guard keeps() else { continue }
                    counts.linesKept += 1
                    if try !body(state, stream, number, !metadata.isEmpty) { return false }
                }
                return true
            }
        }
        if let counting {
            try reader.count(request, context, counting, take)
        } else {
            try reader.read(request, context, take)
        }
    }
}

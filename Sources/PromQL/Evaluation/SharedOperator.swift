// SPDX-License-Identifier: Apache-2.0
// One evaluation of an expression for all places of a query that need it.

import Telemetry

/// What a query evaluates once for several of its places. Used by one thread.
final class SharedEvaluations {
    private struct Key: Hashable {
        var id: Int
        var start: Int64
        var step: Int64
        var count: Int
    }
    private let expressions: SharedExpressions
    private var evaluations: [Key: SharedEvaluation] = [:]

    init(_ expressions: SharedExpressions) { self.expressions = expressions }

    func id(_ expression: Expression) -> Int? { expressions.id(expression) }

    /// Another place's view of an evaluation, which begins when the first place asks for series.
    ///
    /// - Parameter make: the evaluation, if it is the first one or all others have begun.
    func view(
        _ id: Int, _ grid: StepGrid, into annotations: Annotations, _ recorder: PlanRecorder?,
        _ make: () -> SharedEvaluation
    ) -> any VectorOperator {
        let key = Key(id: id, start: grid.start, step: grid.step, count: grid.count)
        let evaluation: SharedEvaluation
        if let open = evaluations[key], !open.hasBegun {
            evaluation = open
        } else {
            evaluation = make()
            evaluations[key] = evaluation
        }
        return SharedOperator(
            evaluation, reader: evaluation.addReader(), into: annotations, recorder)
    }

    /// Evaluations know the evaluator that makes them, which knows them.
    func removeAll() { evaluations = [:] }
}

/// An evaluation with several readers, each at its own pace. Columns wait for the slowest.
final class SharedEvaluation {
    /// Evaluates from the start.
    private let make: (Annotations) throws -> any VectorOperator
    /// Of what is shared, for every reader to pass on.
    let annotations = Annotations()
    private let context: ReadContext
    private let steps: Int
    /// Most bytes of columns that may have to wait; larger results are evaluated for each reader.
    private let limitBytes: Int
    private var input: (any VectorOperator)?
    private var items: [OutputSeries] = []
    /// Whether all readers share `input`; else it is the first one's.
    private var isShared = false
    /// Columns that each reader has taken.
    private var taken: [Int] = []
    /// Columns that some reader has not taken, oldest first, from number `firstWaiting` on.
    private var waiting: [StepColumn] = []
    private var firstWaiting = 0
    private var produced = 0
    private var reservedBytes = 0

    init(
        steps: Int, limitBytes: Int, context: ReadContext,
        _ make: @escaping (Annotations) throws -> any VectorOperator
    ) {
        self.steps = steps
        self.limitBytes = limitBytes
        self.context = context
        self.make = make
    }

    deinit { context.release(reservedBytes) }

    var hasBegun: Bool { input != nil }

    func addReader() -> Int {
        taken.append(0)
        return taken.count - 1
    }

    /// The series, and the operator that this reader alone uses, nil when it shares one.
    ///
    /// - Parameter annotations: where an operator puts them that is made for this reader.
    func begin(
        _ annotations: Annotations
    ) throws -> (series: [OutputSeries], own: (any VectorOperator)?) {
        if input != nil {
            if isShared { return (items, nil) }
            let own = try make(annotations)
            return (try own.series(), own)
        }
        let first = try make(self.annotations)
        input = first
        let series = try first.series()
        let bytes = series.count.multipliedReportingOverflow(
            by: StepColumn.byteCount(steps: steps))
        isShared = !bytes.overflow && bytes.partialValue <= limitBytes
        if isShared { items = series }
        return (series, isShared ? nil : first)
    }

    func next(_ reader: Int, into column: inout StepColumn) throws {
        let number = taken[reader]
        if number == produced {
            try input?.next(into: &column)
            produced += 1
            taken[reader] = produced
            if taken.contains(where: { $0 < produced }) {
                let bytes = column.byteCount
                reservedBytes += bytes
                waiting.append(column)
                try context.reserve(bytes)
            } else {
                firstWaiting = produced
            }
            return
        }
        taken[reader] = number + 1
        let place = number - firstWaiting
        guard !taken.contains(where: { $0 <= number }) else {
            column = waiting[place]
            return
        }
        // The last one to take it; those before are gone already.
        let bytes = waiting[place].byteCount
        swap(&column, &waiting[place])
        waiting[place] = StepColumn(steps: 0)
        reservedBytes -= bytes
        context.release(bytes)
        dropTaken(through: number)
    }

    private func dropTaken(through number: Int) {
        let count = number + 1 - firstWaiting
        // Now and then, since the rest moves.
        guard count >= 64 || count == waiting.count else { return }
        waiting.removeFirst(count)
        firstWaiting = number + 1
    }
}

/// One place's view of a shared evaluation.
private final class SharedOperator: VectorOperator {
    private let evaluation: SharedEvaluation
    private let reader: Int
    private let annotations: Annotations
    /// What of the evaluation's annotations this place has passed on; nil when its own operator
    /// does that.
    private var passedOn: Annotations.Mark? = Annotations.Mark()
    private var own: (any VectorOperator)?
    private let recorder: PlanRecorder?

    init(
        _ evaluation: SharedEvaluation, reader: Int, into annotations: Annotations,
        _ recorder: PlanRecorder?
    ) {
        self.evaluation = evaluation
        self.recorder = recorder
        self.reader = reader
        self.annotations = annotations
    }

    func series() throws -> [OutputSeries] {
        let isFirst = !evaluation.hasBegun
        let (series, own) = try evaluation.begin(annotations)
        self.own = own
        if !isFirst {
            if own == nil {
                recorder?.note("shared: computed once, for an equal expression")
            } else {
                passedOn = nil
            }
        }
        passOn()
        return series
    }

    func next(into column: inout StepColumn) throws {
        if let own {
            try own.next(into: &column)
        } else {
            try evaluation.next(reader, into: &column)
        }
        passOn()
    }

    private func passOn() {
        guard var mark = passedOn.take() else { return }
        annotations.append(evaluation.annotations, since: &mark)
        passedOn = mark
    }
}

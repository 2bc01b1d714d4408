// SPDX-License-Identifier: Apache-2.0
// Slices of one expression, computed side by side and delivered in order.

import Base
import Synchronization
import Telemetry

/// Neighbouring series of an expression with an evaluation of their own.
// Used by the thread that took it, from `SliceQueue.take` to `SliceQueue.finish`; before and
// after, by the thread that evaluates the query.
final class Slice: @unchecked Sendable {
    private var input: (any VectorOperator)?
    private let steps: Int
    private let scope: EvaluationScope
    private var count = 0
    private var columns: [StepColumn] = []
    private var computed = 0
    private var delivered = 0
    private var failure: (any Error)?
    private var reservedBytes = 0

    init(_ input: any VectorOperator, steps: Int, scope: EvaluationScope) {
        self.input = input
        self.steps = steps
        self.scope = scope
    }

    deinit { scope.context.release(reservedBytes) }

    func series() throws -> [OutputSeries] {
        let series = try input?.series() ?? []
        count = series.count
        return series
    }

    /// Gives back all that it holds; nothing is asked of it any more.
    func dispose() {
        _ = takeColumns()
        input = nil
        scope.giveBack()
    }

    /// Takes memory to compute in.
    func adopt(_ spare: consuming [StepColumn]) { columns = spare }

    /// Computes all columns, in adopted memory as far as it goes.
    func compute(until isStopped: () -> Bool) {
        guard let input else { return }
        if columns.count > count { columns.removeLast(columns.count - count) }
        columns.reserveCapacity(count)
        do {
            for index in 0..<count where !isStopped() {
                if index == columns.count { columns.append(StepColumn(steps: steps)) }
                try input.next(into: &columns[index])
                computed = index + 1
                let bytes = columns[index].byteCount
                reservedBytes += bytes
                try scope.context.reserve(bytes)
            }
        } catch {
            failure = error
        }
        self.input = nil
    }

    /// Hands over the next column; returns false when there is none left.
    ///
    /// - Throws: what ended the computation early, after the columns before.
    func next(into column: inout StepColumn, _ outer: EvaluationScope) throws -> Bool {
        if delivered == 0 {
            outer.annotations.append(scope.annotations)
            if let counts = scope.counts { outer.counts?.add(counts) }
            scope.counts = nil
        }
        if delivered < computed {
            swap(&column, &columns[delivered])
            delivered += 1
            return true
        }
        if let failure { throw failure }
        return false
    }

    /// Gives its columns, all delivered, for another slice to use.
    func takeColumns() -> [StepColumn] {
        scope.context.release(reservedBytes)
        reservedBytes = 0
        defer {
            columns = []
            computed = 0
        }
        return columns
    }
}

/// Which slices are taken, finished and delivered.
final class SliceQueue: Sendable {
    private struct State: Sendable {
        /// The first slice that nobody has taken.
        var next = 0
        /// The slice that is delivered now.
        var current = 0
        var isFinished: [Bool]
        /// Threads that help.
        var helping = 0
        /// Columns of slices that are delivered.
        var spare: [[StepColumn]] = []
    }
    let slices: [Slice]
    /// Slices from the current one on that may be taken: what they hold is waiting.
    private let window: Int
    private let state: Monitor<State>
    private let isStopped = Atomic<Bool>(false)

    init(_ slices: [Slice], window: Int) {
        self.slices = slices
        self.window = window
        state = Monitor(State(isFinished: [Bool](repeating: false, count: slices.count)))
    }

    /// Slice after slice, until there is none to take. Runs on a helping thread.
    private func help() {
        while let index = take(isHelper: true) { compute(index) }
    }

    /// Takes a slice, if one may be taken. A helper that gets none is one no more.
    private func take(isHelper: Bool) -> Int? {
        state.change { state in
            guard state.next < min(slices.count, state.current + window),
                !isStopped.load(ordering: .relaxed)
            else {
                if isHelper { state.helping -= 1 }
                return nil
            }
            state.next += 1
            if let spare = state.spare.popLast() { slices[state.next - 1].adopt(spare) }
            return state.next - 1
        }
    }

    private func compute(_ index: Int) {
        slices[index].compute { isStopped.load(ordering: .relaxed) }
        state.change { $0.isFinished[index] = true }
    }

    /// Makes slice `index` the current one, after the one before was delivered, and returns when it
    /// is finished: this thread computes it, or later ones while another thread does.
    func advance(to index: Int, _ helpers: WorkerPool?) {
        state.withLock { state in
            state.current = index
            if index > 0 { state.spare.append(slices[index - 1].takeColumns()) }
        }
        callHelp(helpers)
        while !(state.withLock { $0.isFinished[index] }) {
            if let taken = take(isHelper: false) {
                compute(taken)
            } else {
                state.wait { $0.isFinished[index] ? () : nil }
            }
        }
    }

    /// Asks for one more helper when there is enough to take.
    private func callHelp(_ helpers: WorkerPool?) {
        guard let helpers else { return }
        let isWanted = state.withLock { state in
            let open = min(slices.count, state.current + window) - state.next
            // One of them is for the thread that asks.
            guard state.helping < min(helpers.threadLimit, open - 1) else { return false }
            state.helping += 1
            return true
        }
        guard isWanted else { return }
        if !helpers.offer({ self.help() }) { state.withLock { $0.helping -= 1 } }
    }

    /// Returns when nobody helps any more and what the slices held is given back.
    ///
    /// A helper may keep the queue for a moment after it has helped; the query may have ended then,
    /// and its memory be given back whole.
    func stop() {
        isStopped.store(true, ordering: .relaxed)
        state.wait { $0.helping == 0 ? () : nil }
        for slice in slices { slice.dispose() }
    }
}

/// Delivers the series of slices as one expression.
final class SlicedOperator: VectorOperator {
    private let queue: SliceQueue
    private let helpers: WorkerPool?
    private let scope: EvaluationScope
    /// The slice that is delivered; −1 before the first.
    private var current = -1
    private let seriesCount: Int

    init(_ slices: [Slice], series: Int, helpers: WorkerPool?, scope: EvaluationScope) {
        seriesCount = series
        queue = SliceQueue(slices, window: 2 * (1 + (helpers?.threadLimit ?? 0)))
        self.helpers = helpers
        self.scope = scope
    }

    // Whoever helps works in the budget of the query.
    deinit { queue.stop() }

    func series() throws -> [OutputSeries] {
        var result: [OutputSeries] = []
        result.reserveCapacity(seriesCount)
        for slice in queue.slices {
            try scope.context.check()
            result += try slice.series()
        }
        return result
    }

    func next(into column: inout StepColumn) throws {
        if current >= 0 {
            if try queue.slices[current].next(into: &column, scope) { return }
        }
        current += 1
        queue.advance(to: current, helpers)
        _ = try queue.slices[current].next(into: &column, scope)
    }
}

// SPDX-License-Identifier: Apache-2.0
// Names from the server, kept so that typing never waits for it.

import Base
import Synchronization

/// A completion.
package struct CompletionItem: Sendable, Equatable {
    package var text: String
    /// Type, usage or kind, shown beside it.
    package var detail = ""
    /// Help, shown where there is room.
    package var help = ""
}

/// What is known at this moment, and whether more is on its way.
package struct CompletionAnswer: Sendable, Equatable {
    package var items: [CompletionItem]
    package var isLoading: Bool
}

/// Lists of names with their age. A look-up answers from what is here at once; a list that is
/// missing or old is fetched meanwhile, and `onArrival` is told when it has come. Lists that could
/// not be fetched are empty for a while, so that a dead server is not asked at every key.
package final class CompletionCatalogue: Sendable {
    /// Items shown.
    static let shown = 200
    /// Seconds a list is good for.
    private static let freshSeconds = 60.0
    /// Lists kept; the oldest goes.
    private static let mostLists = 256

    struct List: Sendable {
        var index: FuzzyIndex
        var details: [String: (detail: String, help: String)]
        var nanos: Int64
    }
    private struct State {
        var lists: [CompletionSource: List] = [:]
        var underWay: Set<CompletionSource> = []
        var onArrival: (@Sendable () -> Void)?
    }
    private let state = Mutex(State())
    private let fetch: @Sendable (CompletionSource) async throws -> [CompletionItem]
    private let clock: any Clock

    /// - Parameter fetch: asks the server for the names of a source.
    init(
        clock: any Clock = SystemClock(),
        fetch: @escaping @Sendable (CompletionSource) async throws -> [CompletionItem]
    ) {
        self.clock = clock
        self.fetch = fetch
    }

    /// Tells whoever draws that a list has arrived.
    func onArrival(_ body: (@Sendable () -> Void)?) {
        state.withLock { $0.onArrival = body }
    }

    /// Names of another stretch of time are others.
    func forget() { state.withLock { $0.lists = [:] } }

    /// What fits, best first. Never waits.
    func answer(_ context: CompletionContext) -> CompletionAnswer {
        var items: [CompletionItem] = []
        var isLoading = false
        for source in context.sources {
            if let fixed = CompletionCatalogue.words(of: source) {
                let index = FuzzyIndex(fixed.map(\.text))
                items += index.search(context.typed, limit: Self.shown).map { fixed[$0] }
                continue
            }
            guard let list = list(source) else {
                isLoading = true
                continue
            }
            items += list.index.search(context.typed, limit: Self.shown).map { position in
                let name = list.index.names[position]
                let about = list.details[name]
                return CompletionItem(
                    text: name, detail: about?.detail ?? "", help: about?.help ?? "")
            }
        }
        if context.sources.count > 1, !context.typed.isEmpty {
            // Of several sources those that begin with what is typed come first, the shortest
            // before the others.
            let typed = context.typed.lowercased()
            let begins = items.filter { $0.text.lowercased().hasPrefix(typed) }
                .sorted { $0.text.utf8.count < $1.text.utf8.count }
            items = begins + items.filter { !$0.text.lowercased().hasPrefix(typed) }
        }
        return CompletionAnswer(items: Array(items.prefix(Self.shown)), isLoading: isLoading)
    }

    /// The list, and a fetch when it is missing or old.
    private func list(_ source: CompletionSource) -> List? {
        let now = clock.monotonicNanos
        let (list, starts) = state.withLock { state -> (List?, Bool) in
            let list = state.lists[source]
            let isFresh = list.map { Double(now - $0.nanos) / 1e9 < Self.freshSeconds } ?? false
            guard !isFresh else { return (list, false) }
            return (list, state.underWay.insert(source).inserted)
        }
        if starts { Task { await load(source) } }
        return list
    }

    /// Fetches a list and puts it in place.
    func load(_ source: CompletionSource) async {
        var items: [CompletionItem] = []
        do {
            items = try await fetch(source)
        } catch is CancellationError {
            state.withLock { _ = $0.underWay.remove(source) }
            return
        } catch {
            // The query itself will say what is wrong with the server; here there are no names.
            items = []
        }
        var details: [String: (detail: String, help: String)] = [:]
        for item in items where !item.detail.isEmpty || !item.help.isEmpty {
            details[item.text] = (item.detail, item.help)
        }
        let list = List(
            index: FuzzyIndex(items.map(\.text)), details: details, nanos: clock.monotonicNanos)
        let arrived = state.withLock { state -> (@Sendable () -> Void)? in
            state.underWay.remove(source)
            if state.lists.count >= Self.mostLists,
                let oldest = state.lists.min(by: { $0.value.nanos < $1.value.nanos })
            {
                state.lists[oldest.key] = nil
            }
            state.lists[source] = list
            return state.onArrival
        }
        arrived?()
    }

    /// Words that need no server.
    private static func words(of source: CompletionSource) -> [CompletionItem]? {
        switch source {
        case .fixed(let words): words.map { CompletionItem(text: $0) }
        case .words(let language, let kinds):
            Documentation.all.filter { $0.language == language && kinds.contains($0.kind) }.map {
                CompletionItem(text: $0.word, detail: $0.usage, help: $0.text)
            }
        default: nil
        }
    }
}

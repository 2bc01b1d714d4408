// SPDX-License-Identifier: Apache-2.0
// Power cuts and kills with all four stores attached.

import FoundationEssentials
import Testing

struct WholePowerCutTests {
    /// `TERN_CUT_SEEDS=10000` makes the long run of it, `TERN_CUT_FIRST` repeats one seed.
    private static func setting(_ name: String) -> Int? {
        ProcessInfo.processInfo.environment[name].flatMap(Int.init)
    }

    @Test func allSignalsAndTheIndexSurviveTogether() async {
        let count = WholePowerCutTests.setting("TERN_CUT_SEEDS") ?? 3
        let first = WholePowerCutTests.setting("TERN_CUT_FIRST") ?? 1
        var problems: [String] = []
        var images = 0
        await withTaskGroup(of: (problems: [String], images: Int).self) { group in
            var next = first
            func add() {
                let seed = UInt64(next)
                next += 1
                group.addTask { await WholeSimulation.run(seed: seed) }
            }
            for _ in 0..<min(ProcessInfo.processInfo.activeProcessorCount, count) { add() }
            while let result = await group.next() {
                problems += result.problems
                images += result.images
                if next < first + count, problems.count < 10 { add() }
            }
        }
        #expect(problems == [])
        #expect(images > count * 5)
    }
}

// SPDX-License-Identifier: Apache-2.0
// Power cuts and kills at every operation of seeded workloads.

import FoundationEssentials
import Testing

struct PowerCutTests {
    /// `TERN_CUT_SEEDS=10000` makes the long run of it, `TERN_CUT_FIRST` repeats one seed.
    private static func setting(_ name: String) -> Int? {
        ProcessInfo.processInfo.environment[name].flatMap(Int.init)
    }

    @Test func nothingAcknowledgedIsLostAtAnyOperation() async {
        let count = PowerCutTests.setting("TERN_CUT_SEEDS") ?? 12
        let first = PowerCutTests.setting("TERN_CUT_FIRST") ?? 1
        var problems: [String] = []
        var images = 0
        await withTaskGroup(of: (problems: [String], images: Int).self) { group in
            var next = first
            for _ in 0..<min(2, count) {
                let seed = next
                next += 1
                group.addTask { await Simulation.run(seed: UInt64(seed)) }
            }
            while let result = await group.next() {
                problems += result.problems
                images += result.images
                if next < first + count, problems.count < 10 {
                    let seed = next
                    next += 1
                    group.addTask { await Simulation.run(seed: UInt64(seed)) }
                }
            }
        }
        #expect(problems == [])
        #expect(images > count * 20)
    }
}

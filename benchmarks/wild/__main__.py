import argparse
from benchmarks.wild.corpus import files
from benchmarks.wild.judge import Verdict, imported, judged
p = argparse.ArgumentParser()
p.add_argument("--only", default="")
p.add_argument("--faults", type=int, default=0)
p.add_argument("--share", type=float, default=1.0)
p.add_argument("--seed", default="1")
a = p.parse_args()
total = Verdict()
for name, wild in files(a.share, a.seed):
    if a.only not in name: continue
    v = judged(wild, *imported(wild))
    total += v
    print(f"{name:40} works {v.found}/{v.works} ids {v.ids_found}/{v.ids} people {v.people_found}/{v.people} years {v.years_found}/{v.years} reported {v.reported} silent {v.silent} invented {v.invented} wrong {v.wrong_people}")
    for f in v.faults[:a.faults]: print("      ", f)
v = total
print(f"works {v.found}/{v.works} ids {v.ids_found}/{v.ids} people {v.people_found}/{v.people} years {v.years_found}/{v.years} reported {v.reported} silent {v.silent} invented {v.invented} wrong {v.wrong_people}")

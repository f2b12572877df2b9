def test_x(finished): 
    print(finished.output_dir); print(sorted(f for f in finished.files() if 'work/' not in f))
    r = finished('--inputs','T1w','pet','--inputs','T1w','--split-file',str(finished.output_dir.parent/'split.tsv'))
    print(r)
    print(finished.participants())

#!/usr/bin/env python3
"`decodelab generate-data` as a script: python generate_data.py --model_theta … --model_t … --output_dir ./outputs"
import sys
from decodelab.lab.cli import main

if __name__=='__main__': main(['generate-data', *sys.argv[1:]], prog_name='decodelab')

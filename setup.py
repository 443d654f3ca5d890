"""What pyproject.toml cannot say: the wheel carries what `decodelab new` makes a laboratory of."""
import shutil
from pathlib import Path
from setuptools import setup
from setuptools.command.build_py import build_py

class WithLaboratory(build_py):
    "Puts the experiments and the files around them into decodelab/lab/stock of what is built."
    def run(self):
        super().run()
        if self.editable_mode: return # a checkout has them where they lie
        stock = Path(self.build_lib)/'decodelab'/'lab'/'stock'
        shutil.rmtree(stock, ignore_errors=True)
        files = [f for f in Path('nbs').glob('*.ipynb') if f.stem!='index']
        files += [f for folder in ('params', 'slurm', 'schemas') for f in Path(folder).rglob('*') if f.is_file()]
        for file in files:
            (stock/file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, stock/file)

setup(cmdclass=dict(build_py=WithLaboratory))
